//! Head, medium and tail: classes by how many samples they have.

use super::{ClassCounts, real};

/// The shot group of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Group {
    /// Head classes ("many-shot"; LVIS: frequent).
    Many,
    /// The classes between ("medium-shot"; LVIS: common).
    Medium,
    /// Tail classes ("few-shot"; LVIS: rare).
    Few,
}

/// Groups of classes.
impl ClassCounts {
    /// The group of each class, `[K]`: [`Many`](Group::Many) with more than `many_above` samples, else
    /// [`Few`](Group::Few) with fewer than `few_below`, else [`Medium`](Group::Medium).
    pub fn groups(&self, many_above: u64, few_below: u64) -> Vec<Group> {
        self.counts
            .iter()
            .map(|&count| match count {
                count if count > many_above => Group::Many,
                count if count < few_below => Group::Few,
                _ => Group::Medium,
            })
            .collect()
    }

    /// The usual groups of long-tailed recognition: many above 100 samples, medium 20 to 100, few below 20
    /// (Liu et al. 2019, arXiv 1904.05160).
    ///
    /// ```
    /// use longtail::{ClassCounts, Group::{Few, Many, Medium}};
    /// let groups = ClassCounts::new([101, 100, 20, 19])?.standard_groups();
    /// assert_eq!(groups, [Many, Medium, Medium, Few]);
    /// # Ok::<(), longtail::Error>(())
    /// ```
    pub fn standard_groups(&self) -> Vec<Group> {
        self.groups(100, 20)
    }

    /// The groups of LVIS (Gupta et al. 2019, arXiv 1908.03195) by the number of training images of a
    /// category: frequent above 100, common 11 to 100, rare up to 10, as in the data set's annotation files.
    pub fn lvis_groups(&self) -> Vec<Group> {
        self.groups(100, 11)
    }

    /// Whether a class's prior is below `threshold`: `n_j / n < threshold`, `[K]` (equalization loss, the
    /// code of BagofTricks-LT).
    pub fn tail_below(&self, threshold: f64) -> Vec<bool> {
        let total = real(self.total);
        self.counts.iter().map(|&count| real(count) / total < threshold).collect()
    }

    /// Whether a class's prior is at or below `threshold`: `n_j / n <= threshold`, `[K]` (equalization loss,
    /// the survey's code).
    pub fn tail_at_or_below(&self, threshold: f64) -> Vec<bool> {
        let total = real(self.total);
        self.counts.iter().map(|&count| real(count) / total <= threshold).collect()
    }
}
