//! Which tile for which product on which adapter: the one place where that is decided.

use super::request::{Layout, MatmulRequest, RowFactors};
use crate::gpu::choice::AdapterClass;
use crate::{Element, Error, Result};

/// How a product is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Manner {
    /// Each thread reads what it multiplies. No workgroup memory.
    Direct,
    /// A workgroup reads its rows of A and B once, by way of workgroup memory.
    Staged,
    /// The 8 threads of one subgroup hand each other their elements of A. No workgroup memory. Needs the device feature
    /// `SUBGROUP` and subgroups of 8 threads: a processor's vectors.
    Broadcast,
    /// By cooperative matrices (tensor cores): f16 A and B. Needs the device features
    /// `EXPERIMENTAL_COOPERATIVE_MATRIX`, `SHADER_F16` and `SUBGROUP`, an adapter whose properties list f16 matrices of
    /// 16 x 16 x 16 with f32 results, and subgroups of one size. Chosen for large products of f16 where
    /// [`Kernels::with_cooperative_matrices`](crate::gpu::Kernels::with_cooperative_matrices) allows it. For Vulkan:
    /// Metal's matrices are of 8 x 8.
    Cooperative,
}

/// How C is laid over workgroups and threads. Chosen by shape and adapter, or forced through
/// [`MatmulRequest::with_tile`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tile {
    /// How the product is computed.
    pub manner: Manner,
    /// Rows and columns of C that a thread computes: 4 or 8; broadcast: 4 columns of 32 rows. Of a cooperative matrix:
    /// 16.
    pub edge: u32,
    /// Threads along the rows of C. Cooperative: subgroups.
    pub threads_m: u32,
    /// Threads along the columns of C. Cooperative: subgroups.
    pub threads_n: u32,
    /// How much of k is staged at a time, a multiple of 4 (cooperative: of the edge); 0 where nothing is.
    pub depth: u32,
    /// Threads in a subgroup for broadcast (8) and cooperative products, else 0.
    pub subgroup: u32,
    /// Cooperative matrices of a subgroup along the rows of C: 1 to 8; else 0.
    pub matrices_m: u32,
    /// Cooperative matrices of a subgroup along the columns of C: 1 to 8; else 0.
    pub matrices_n: u32,
}

impl Tile {
    /// A direct product with `threads_m` x `threads_n` threads of `edge` x `edge` elements.
    pub fn direct(edge: u32, threads_m: u32, threads_n: u32) -> Self {
        direct(edge, threads_m, threads_n)
    }

    /// A staged product.
    pub fn staged(edge: u32, threads_m: u32, threads_n: u32, depth: u32) -> Self {
        staged(edge, threads_m, threads_n, depth)
    }

    /// A product by subgroups of 8 threads.
    pub fn broadcast() -> Self {
        BROADCAST
    }

    /// A cooperative product with matrices of `edge` x `edge` and 2 x 2 subgroups of `subgroup` threads, each of which
    /// computes 4 x 4 matrices: 128 x 128 elements of C. Of nine that an NVIDIA H100 timed the fastest
    /// (`docs/performance-matmul.md`).
    pub fn cooperative(edge: u32, subgroup: u32) -> Self {
        Self {
            manner: Manner::Cooperative,
            edge,
            threads_m: 2,
            threads_n: 2,
            depth: 2 * edge,
            subgroup,
            matrices_m: 4,
            matrices_n: 4,
        }
    }

    /// Threads in a workgroup.
    pub fn workgroup(&self) -> u32 {
        let subgroup = if self.manner == Manner::Cooperative { self.subgroup } else { 1 };
        self.threads_m * self.threads_n * subgroup
    }

    /// Rows of C that a workgroup computes.
    pub fn group_m(&self) -> u32 {
        match self.manner {
            Manner::Broadcast => 32,
            Manner::Cooperative => self.matrices_m * self.edge * self.threads_m,
            _ => self.edge * self.threads_m,
        }
    }

    /// Columns of C that a workgroup computes.
    pub fn group_n(&self) -> u32 {
        match self.manner {
            Manner::Cooperative => self.matrices_n * self.edge * self.threads_n,
            _ => self.edge * self.threads_n,
        }
    }

    /// Bytes of workgroup memory.
    pub fn workgroup_bytes(&self) -> u32 {
        match self.manner {
            Manner::Direct | Manner::Broadcast => 0,
            Manner::Staged => 4 * (self.group_m() + self.group_n()) * self.depth,
            Manner::Cooperative => {
                let slabs = self.slab(self.group_m()) + self.slab(self.group_n());
                16 * slabs + 4 * self.edge * self.edge * self.threads_m * self.threads_n
            }
        }
    }

    /// Eights of halves in a cooperative product's slab of so many rows or columns of C, whichever way it lies.
    pub(super) fn slab(&self, side: u32) -> u32 {
        (side * pitch(self.depth)).max(self.depth * pitch(side))
    }

    /// Checks a tile for the elements of a request and a device's limits; `subgroup` is the device's one size of
    /// subgroups, where it has one.
    pub(super) fn check(
        &self,
        request: &MatmulRequest,
        adapter: AdapterClass,
        subgroup: Option<u32>,
    ) -> Result<()> {
        let bad =
            |name, value: u32, expected| Err(Error::Parameter { name, value: f64::from(value), expected });
        match (self.manner, self.edge) {
            (Manner::Direct | Manner::Staged, 4 | 8) | (Manner::Cooperative, 16) => {}
            (Manner::Broadcast, _) if *self == BROADCAST => {}
            (Manner::Broadcast, edge) => {
                return bad("a broadcast tile's edge", edge, "that of Tile::broadcast()");
            }
            (Manner::Cooperative, edge) => return bad("a cooperative matrix's edge", edge, "16"),
            (_, edge) => return bad("a tile's edge", edge, "4 or 8"),
        }
        let small = 1..=64;
        if !small.contains(&self.threads_m) || !small.contains(&self.threads_n) {
            return bad("a tile's threads", self.threads_m.max(self.threads_n), "1 to 64 along each side");
        }
        let matrices = if self.manner == Manner::Cooperative { 1..=8 } else { 0..=0 };
        if !matrices.contains(&self.matrices_m) || !matrices.contains(&self.matrices_n) {
            let most = self.matrices_m.max(self.matrices_n);
            return bad("a subgroup's matrices", most, "1 to 8 along each side, 0 where there are none");
        }
        let depth = |step: u32| (1..=128).contains(&self.depth) && self.depth.is_multiple_of(step);
        let (right, expected) = match self.manner {
            Manner::Staged => (depth(4), "a multiple of 4, at most 128"),
            Manner::Cooperative => (depth(self.edge), "a multiple of the edge, at most 128"),
            _ => (self.depth == 0, "0 where nothing is staged"),
        };
        if !right {
            return bad("a tile's depth", self.depth, expected);
        }
        let (right, expected) = match self.manner {
            Manner::Cooperative => ((4..=128).contains(&self.subgroup), "4 to 128 for cooperative products"),
            Manner::Broadcast => (true, ""),
            _ => (self.subgroup == 0, "0 without subgroups"),
        };
        if !right {
            return bad("a tile's subgroup", self.subgroup, expected);
        }
        if self.manner == Manner::Cooperative
            && (request.a.elem, request.b.elem) != (Element::F16, Element::F16)
        {
            return Err(Error::Combination {
                first: "cooperative matrices",
                second: "elements that are no f16",
                cure: "use f16 for A and B, or another tile",
            });
        }
        if self.subgroup > 0 && subgroup != Some(self.subgroup) {
            return Err(Error::Limit {
                what: "threads in a subgroup".into(),
                needed: u64::from(self.subgroup),
                allowed: subgroup.map_or(0, u64::from),
                cure: "choose a tile for the device's subgroups, or one without",
            });
        }
        limits(self.workgroup(), self.workgroup_bytes(), adapter)
    }
}

/// How far rows of so many halves are apart in a cooperative product's slab, in eights: odd, so that those of neighbouring
/// rows lie in different banks.
pub(super) const fn pitch(halves: u32) -> u32 {
    (halves / 8) | 1
}

/// wgpu does not check the size of a workgroup against every limit.
pub(super) fn limits(workgroup: u32, bytes: u32, adapter: AdapterClass) -> Result<()> {
    let checks = [
        ("threads in one workgroup", workgroup, adapter.max_workgroup),
        ("bytes of workgroup memory", bytes, adapter.max_workgroup_bytes),
    ];
    for (what, needed, allowed) in checks {
        if needed > allowed {
            return Err(Error::Limit {
                what: what.into(),
                needed: u64::from(needed),
                allowed: u64::from(allowed),
                cure: "choose a smaller tile, or request the device with higher limits",
            });
        }
    }
    Ok(())
}

/// The tile for a product: what is preferred on the adapter, narrowed until it fits the device's limits. `subgroup` as
/// for [`Tile::check`], where the device has the feature.
pub(super) fn choose(adapter: AdapterClass, subgroup: Option<u32>, m: u32, n: u32) -> Tile {
    let candidates = if adapter.software { ON_PROCESSOR } else { ON_GPU };
    let fits = |tile: &&Tile| {
        let subgroups = tile.subgroup == 0 || subgroup == Some(tile.subgroup);
        subgroups && limits(tile.workgroup(), tile.workgroup_bytes(), adapter).is_ok()
    };
    let groups = |tile: &Tile| u64::from(m.div_ceil(tile.group_m())) * u64::from(n.div_ceil(tile.group_n()));
    let enough = |tile: &&Tile| groups(tile) >= if adapter.software { 8 } else { 256 };
    let fitting = || candidates.iter().filter(fits);
    // Without enough workgroups anywhere the smallest tile makes most of them.
    fitting().find(enough).or(fitting().next_back()).copied().unwrap_or(Tile::direct(4, 1, 1))
}

/// The cooperative tile for a product, where there are matrices of `edge`, if that is 16: both sides f16, and nothing that would be rounded
/// to f16 before it is multiplied (factors within a row). Products smaller than a tile have no use for it.
pub(super) fn choose_cooperative(
    adapter: AdapterClass,
    edge: Option<u32>,
    subgroup: Option<u32>,
    request: &MatmulRequest,
) -> Option<Tile> {
    let tile = Tile::cooperative(edge?, subgroup.filter(|size| (4..=128).contains(size))?);
    let halves = (request.a.elem, request.b.elem) == (Element::F16, Element::F16);
    let whole = |factors: Option<RowFactors>| factors.is_none_or(|factors| factors.parts == 1);
    // Only there are the factors of both sides left to the end.
    let late = request.layout == Layout::Nt && whole(request.a_factors) && whole(request.b_factors);
    let plain = late || request.a_factors.is_none() && request.b_factors.is_none();
    let large = request.m >= tile.group_m() as usize
        && request.n >= tile.group_n() as usize
        && request.k >= tile.edge as usize;
    let fits = limits(tile.workgroup(), tile.workgroup_bytes(), adapter).is_ok();
    (halves && plain && large && fits && request.row_sums.is_none()).then_some(tile)
}

/// Large tiles first. As wide as the processor's vectors: no barrier ever waits, and workgroup memory is as dear as
/// any other. The reasons, with their measurements, are in `docs/performance-matmul.md`.
const ON_PROCESSOR: &[Tile] = &[BROADCAST, direct(8, 2, 4), direct(4, 2, 4), direct(4, 1, 1)];

/// Large tiles first. From what a GPU's compiler makes of them, and so deep that every thread fetches; not measured yet.
const ON_GPU: &[Tile] =
    &[staged(8, 16, 16, 16), staged(8, 8, 8, 16), staged(4, 8, 8, 16), staged(4, 4, 8, 16), direct(4, 1, 1)];

const BROADCAST: Tile = Tile { manner: Manner::Broadcast, subgroup: 8, ..direct(4, 1, 8) };

const fn direct(edge: u32, threads_m: u32, threads_n: u32) -> Tile {
    Tile {
        manner: Manner::Direct,
        edge,
        threads_m,
        threads_n,
        depth: 0,
        subgroup: 0,
        matrices_m: 0,
        matrices_n: 0,
    }
}

const fn staged(edge: u32, threads_m: u32, threads_n: u32, depth: u32) -> Tile {
    Tile { manner: Manner::Staged, depth, ..direct(edge, threads_m, threads_n) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapter(software: bool, max_workgroup: u32, max_workgroup_bytes: u32) -> AdapterClass {
        AdapterClass { software, max_workgroup, max_workgroup_bytes, f16: false, busy: 1 }
    }

    /// Whatever is chosen runs on a device with WebGPU's default limits, and on smaller ones.
    #[test]
    fn every_choice_fits() {
        for class in [
            adapter(false, 256, 16_384),
            adapter(false, 1024, 49_152),
            adapter(false, 128, 16_384),
            adapter(false, 16, 1024),
            adapter(true, 1024, 32_768),
            adapter(true, 4, 1024),
        ] {
            for m in [1, 17, 256, 4096, 1 << 20] {
                for n in [1, 10, 1203, 128_256] {
                    for subgroup in [None, Some(8), Some(32)] {
                        let tile = choose(class, subgroup, m, n);
                        assert!(limits(tile.workgroup(), tile.workgroup_bytes(), class).is_ok(), "{tile:?}");
                        assert!(tile.manner != Manner::Staged || !class.software, "{tile:?}");
                        assert!(tile.subgroup == 0 || Some(tile.subgroup) == subgroup, "{tile:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn cooperative_matrices_are_for_large_products_of_halves() {
        let gpu = adapter(false, 1024, 49_152);
        let mut request = MatmulRequest::new(Layout::Nt, 256, 8142, 128);
        assert_eq!(choose_cooperative(gpu, Some(16), Some(32), &request), None);
        (request.a.elem, request.b.elem) = (Element::F16, Element::F16);
        let tile = Some(Tile::cooperative(16, 32));
        assert_eq!(choose_cooperative(gpu, Some(16), Some(32), &request), tile);
        assert_eq!(choose_cooperative(gpu, None, Some(32), &request), None);
        assert_eq!(choose_cooperative(gpu, Some(16), None, &request), None);
        assert_eq!(choose_cooperative(adapter(false, 64, 49_152), Some(16), Some(32), &request), None);
        let factors = |parts| Some(RowFactors { parts, origin: 0 });
        request.a_factors = factors(1);
        assert_eq!(choose_cooperative(gpu, Some(16), Some(32), &request), tile);
        assert_eq!(
            choose_cooperative(gpu, Some(16), Some(32), &MatmulRequest { layout: Layout::Nn, ..request }),
            None
        );
        assert_eq!(
            choose_cooperative(gpu, Some(16), Some(32), &MatmulRequest { a_factors: factors(2), ..request }),
            None
        );
        assert_eq!(choose_cooperative(gpu, Some(16), Some(32), &MatmulRequest { m: 8, ..request }), None);
    }

    #[test]
    fn large_products_get_large_tiles() {
        let gpu = adapter(false, 1024, 49_152);
        assert_eq!(choose(gpu, Some(32), 4096, 32_768), Tile::staged(8, 16, 16, 16));
        assert_eq!(choose(gpu, Some(32), 256, 8142), Tile::staged(8, 8, 8, 16));
        assert_eq!(choose(gpu, Some(32), 64, 100).edge, 4);
        let processor = adapter(true, 1024, 32_768);
        assert_eq!(choose(processor, Some(8), 256, 1203), Tile::broadcast());
        assert_eq!(choose(processor, None, 256, 1203), Tile::direct(8, 2, 4));
        assert_eq!(choose(processor, Some(8), 8, 10).edge, 4);
    }
}
