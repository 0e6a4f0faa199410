//! A tree of classes: inner nodes with children, and leaves that are the labels.

use super::Segment;
use crate::check::structure;
use crate::{Error, Result};

/// What a child of an inner node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Child {
    /// Another inner node.
    Node(u32),
    /// A leaf: the label of a class.
    Label(u32),
}

/// A tree of classes. Its inner nodes are numbered from the root, 0, such that a node comes after the one above it; its
/// leaves are the labels `0..C`, each once. The logits of a row are those of the children of node 0, of node 1, and so on.
///
/// ```
/// use longtail::grouped::Taxonomy;
/// // Node 0 is the root; 1 and 2 are below it; 3, 4, 5 are leaves: labels 0, 1, 2 by number.
/// let tree = Taxonomy::from_parents(&[None, Some(0), Some(0), Some(1), Some(1), Some(2)])?;
/// assert_eq!((tree.columns(), tree.labels()), (5, 3));
/// # Ok::<(), longtail::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "Vec<Vec<Child>>", into = "Vec<Vec<Child>>"))]
pub struct Taxonomy {
    nodes: Vec<Vec<Child>>,
    labels: usize,
}

impl Taxonomy {
    /// From each inner node's children, in the order of their columns.
    ///
    /// # Errors
    /// [`Error::Structure`] for a tree without a node, a node without a child, a node that comes before the one above
    /// it (as in a cycle), has two or none above it, and labels that are not `0..C`, each once; the error names the label.
    pub fn new(nodes: impl Into<Vec<Vec<Child>>>) -> Result<Self> {
        let nodes = nodes.into();
        let (mut above, mut seen) = (vec![false; nodes.len()], Vec::new());
        for (node, children) in nodes.iter().enumerate() {
            if children.is_empty() {
                return structure("node", Some(node), "it has no child: make it a label");
            }
            for &child in children {
                match child {
                    Child::Label(label) => seen.push(label),
                    Child::Node(below) => {
                        let below = usize::try_from(below).unwrap_or(usize::MAX);
                        if below <= node {
                            return structure(
                                "node",
                                Some(below),
                                "it does not come after the one above it: a cycle, or out of order",
                            );
                        }
                        match above.get_mut(below) {
                            Some(taken) if !*taken => *taken = true,
                            Some(_) => return structure("node", Some(below), "it has two parents"),
                            None => {
                                return structure(
                                    "node",
                                    Some(node),
                                    "a child of it is none of the tree's nodes",
                                );
                            }
                        }
                    }
                }
            }
        }
        if above.iter().skip(1).any(|has| !has) || nodes.is_empty() {
            return structure("the tree", None, "it needs a root, node 0, from which every node is reached");
        }
        seen.sort_unstable();
        let misplaced = seen.iter().enumerate().find(|(place, label)| u32::try_from(*place) != Ok(**label));
        match misplaced {
            Some((place, _)) => {
                structure("label", Some(place), "the leaves have to be the labels 0..C, each once")
            }
            None => Ok(Self { nodes, labels: seen.len() }),
        }
    }

    /// A root with a node for each group of labels, for example of [`ClassCounts::bins`](crate::ClassCounts::bins)
    /// without the empty ones.
    ///
    /// # Errors
    /// Those of [`new`](Self::new).
    pub fn two_levels(groups: &[Vec<u32>]) -> Result<Self> {
        let root = (1u32..).zip(groups).map(|(node, _)| Child::Node(node)).collect();
        let nodes = groups.iter().map(|group| group.iter().map(|label| Child::Label(*label)).collect());
        Self::new(std::iter::once(root).chain(nodes).collect::<Vec<_>>())
    }

    /// From each node's parent, inner nodes and leaves in any order; `None` for the root. Leaves become labels in the
    /// order of their numbers, inner nodes are numbered level by level.
    ///
    /// # Errors
    /// [`Error::Structure`] without a root or with two, for parents that do not exist, and for nodes that no path from
    /// the root reaches (a cycle); the error names the node.
    pub fn from_parents(parents: &[Option<usize>]) -> Result<Self> {
        let mut children = vec![Vec::new(); parents.len()];
        let mut root = None;
        for (node, parent) in parents.iter().enumerate() {
            match parent {
                None if root.is_some() => return structure("node", Some(node), "it is a second root"),
                None => root = Some(node),
                Some(parent) => match children.get_mut(*parent) {
                    Some(siblings) => siblings.push(node),
                    None => return structure("node", Some(node), "its parent is none of the tree's nodes"),
                },
            }
        }
        let Some(root) = root else { return structure("the tree", None, "it has no root") };
        let below = |node: usize| children.get(node).map_or(&[][..], Vec::as_slice);
        let leaves = (0..parents.len()).filter(|node| below(*node).is_empty());
        let mut labels = vec![None; parents.len()];
        for (label, node) in (0u32..).zip(leaves) {
            if let Some(place) = labels.get_mut(node) {
                *place = Some(label);
            }
        }
        // Level by level: the queue is the numbering.
        let (mut queue, mut reached) = (vec![root], vec![false; parents.len()]);
        let mut nodes = Vec::new();
        let mut next = 0;
        while let Some(&node) = queue.get(next) {
            next += 1;
            let mut own = Vec::new();
            for &child in below(node) {
                if let Some(place) = reached.get_mut(child) {
                    *place = true;
                }
                match labels.get(child).copied().flatten() {
                    Some(label) => own.push(Child::Label(label)),
                    None => {
                        own.push(Child::Node(u32::try_from(queue.len()).unwrap_or(u32::MAX)));
                        queue.push(child);
                    }
                }
            }
            nodes.push(own);
        }
        let unreached = reached.iter().enumerate().find(|(node, reached)| !**reached && *node != root);
        match unreached {
            Some((node, _)) => {
                structure("node", Some(node), "no path from the root reaches it: the tree has a cycle")
            }
            None => Self::new(nodes),
        }
    }

    /// The inner nodes' children.
    pub fn nodes(&self) -> &[Vec<Child>] {
        &self.nodes
    }

    /// C, how many labels it has.
    pub fn labels(&self) -> usize {
        self.labels
    }

    /// W, how many columns a row of logits has: one for every node but the root.
    pub fn columns(&self) -> usize {
        self.nodes.iter().map(Vec::len).sum()
    }

    /// Segments and the labels' columns.
    pub(crate) fn layout(&self) -> (Vec<Segment>, Vec<Vec<u32>>) {
        let mut parents = vec![None; self.nodes.len()];
        let mut paths: Vec<Vec<u32>> = vec![Vec::new(); self.nodes.len()];
        let mut labels = vec![Vec::new(); self.labels];
        let mut column = 0u32;
        for (node, children) in self.nodes.iter().enumerate() {
            let path = paths.get(node).cloned().unwrap_or_default();
            for child in children {
                let own: Vec<u32> = path.iter().copied().chain([column]).collect();
                let at = |index: &u32| usize::try_from(*index).unwrap_or(usize::MAX);
                match child {
                    Child::Label(label) => {
                        if let Some(place) = labels.get_mut(at(label)) {
                            *place = own;
                        }
                    }
                    Child::Node(below) => {
                        if let (Some(place), Some(parent)) =
                            (paths.get_mut(at(below)), parents.get_mut(at(below)))
                        {
                            *place = own;
                            *parent = Some(column);
                        }
                    }
                }
                column = column.saturating_add(1);
            }
        }
        let sizes = self.nodes.iter().map(|children| u32::try_from(children.len()).unwrap_or(u32::MAX));
        let segments = sizes.zip(parents).map(|(size, parent)| Segment::new(size).with_parent(parent));
        (segments.collect(), labels)
    }
}

impl TryFrom<Vec<Vec<Child>>> for Taxonomy {
    type Error = Error;

    fn try_from(nodes: Vec<Vec<Child>>) -> Result<Self> {
        Self::new(nodes)
    }
}

impl From<Taxonomy> for Vec<Vec<Child>> {
    fn from(taxonomy: Taxonomy) -> Self {
        taxonomy.nodes
    }
}
