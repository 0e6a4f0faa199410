//! Many, medium and few: the groups of classes that the field reports.

use crate::{Error, Result};

/// The group of a class by how often it occurs in the training set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Shot {
    /// The head: many training examples.
    Many,
    /// The middle.
    Medium,
    /// The tail: few training examples.
    Few,
}

impl Shot {
    /// The three groups, head first.
    pub const ALL: [Shot; 3] = [Shot::Many, Shot::Medium, Shot::Few];

    /// `"Many"`, `"Medium"` or `"Few"`.
    pub fn name(self) -> &'static str {
        match self {
            Shot::Many => "Many",
            Shot::Medium => "Medium",
            Shot::Few => "Few",
        }
    }
}

/// Where the groups end, in training examples per class.
///
/// ```
/// use longtail::metrics::{Shot, ShotGroups};
/// let groups = ShotGroups::standard();
/// assert_eq!([101, 100, 20, 19].map(|n| groups.of(n)), [Shot::Many, Shot::Medium, Shot::Medium, Shot::Few]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ShotGroups {
    few_below: u64,
    many_above: u64,
}

impl Default for ShotGroups {
    /// [`ShotGroups::standard`].
    fn default() -> Self {
        Self::standard()
    }
}

impl ShotGroups {
    /// Classes with fewer than `few_below` training examples are few, those with more than `many_above` are
    /// many, the others medium.
    ///
    /// # Errors
    /// [`Error::Parameter`] when `few_below` exceeds `many_above + 1`: the groups would overlap.
    pub fn new(few_below: u64, many_above: u64) -> Result<Self> {
        match few_below <= many_above.saturating_add(1) {
            true => Ok(Self { few_below, many_above }),
            false => Err(Error::Parameter {
                name: "few_below",
                value: few_below as f64,
                expected: "at most many_above + 1, or the groups overlap",
            }),
        }
    }

    /// Few below 20, many above 100: ImageNet-LT, Places-LT, CIFAR-LT and iNaturalist, since OLTR
    /// (Liu et al. 2019, arXiv 1904.05160).
    pub const fn standard() -> Self {
        Self { few_below: 20, many_above: 100 }
    }

    /// Rare up to 10 images, common up to 100, frequent above: LVIS (Gupta et al. 2019, arXiv 1908.03195).
    /// The counts must be numbers of images, not of boxes.
    pub const fn lvis() -> Self {
        Self { few_below: 11, many_above: 100 }
    }

    /// The group of a class with `count` training examples.
    pub fn of(&self, count: u64) -> Shot {
        if count < self.few_below {
            Shot::Few
        } else if count > self.many_above {
            Shot::Many
        } else {
            Shot::Medium
        }
    }
}
