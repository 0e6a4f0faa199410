//! Products inside of the kernels of others: what multiplies, and what they bind and call themselves.

use std::fmt::Write as _;

use super::key::MatmulKey;
use super::request::Layout;
use super::tile::{Manner, Tile};
use super::words::{File, shader};

impl Tile {
    /// The entry point, which calls `run`.
    pub(in crate::gpu) fn main_file(&self) -> File {
        match self.manner {
            Manner::Broadcast => shader!("main_subgroup.wgsl"),
            _ => shader!("main.wgsl"),
        }
    }

    pub(in crate::gpu) fn label(&self) -> String {
        let Tile { manner, edge, threads_m, threads_n, depth, .. } = *self;
        let manner = match manner {
            Manner::Direct => "direct",
            Manner::Staged => "staged",
            Manner::Broadcast => "broadcast",
            Manner::Cooperative => "cooperative",
        };
        format!("{manner}{edge}.{threads_m}x{threads_n}.d{depth}")
    }
}

impl MatmulKey {
    /// What multiplies: `multiply`, which hands its part of C to `store_quad`, or to `store_eights` where a subgroup
    /// broadcasts, and sums of A to `put_row_sum`. Not for cooperative tiles.
    pub(in crate::gpu) fn multiply_files(&self) -> Vec<File> {
        let mut files = vec![shader!("product.wgsl")];
        if self.tile.manner == Manner::Broadcast {
            files.push(match self.layout {
                Layout::Tn => shader!("hand_columns.wgsl"),
                _ => shader!("hand_rows.wgsl"),
            });
            files.push(match self.hands_factors() {
                true => shader!("hand_b_factors.wgsl"),
                false => shader!("hand_b.wgsl"),
            });
            files.push(shader!("broadcast.wgsl"));
            return files;
        }
        files.push(match self.tile.edge {
            4 => shader!("tile4.wgsl"),
            _ => shader!("tile8.wgsl"),
        });
        files.push(match self.tile.manner {
            Manner::Direct => shader!("direct.wgsl"),
            _ => shader!("staged.wgsl"),
        });
        files
    }

    /// The rows of A and B for the kernels of others, who bind them and what they are scaled by: `block_a`, `block_b`.
    pub(in crate::gpu) fn operand_files(&self) -> Vec<File> {
        let sides = self.side_files().into_iter().filter(|(name, _)| !name.contains("bind_"));
        let loads = [self.a.load_a(), self.b.load_b(), shader!("no_row_sums.wgsl")];
        loads.into_iter().chain(sides).collect()
    }

    /// The constants of a product for the kernels of others, whose workgroups have the tile's threads.
    pub(in crate::gpu) fn constants(&self) -> String {
        let mut text = String::new();
        let _ = writeln!(text, "alias WordA = {}; alias WordB = {};", self.a.alias(), self.b.alias());
        self.tile_header(&mut text);
        self.switches(&mut text);
        text
    }
}
