//! How the kernels round to 16 bits, number by number: `shaders/half.wgsl`, `packed_f16.wgsl` and `packed_bf16.wgsl`
//! against the `half` crate, on the adapter.

#[path = "support/gpu.rs"]
mod gpu;
#[path = "support/inputs.rs"]
mod inputs;

use gpu::context;
use longtail::gpu::Context;
use wgpu::util::DeviceExt as _;

const F16: &str = concat!(include_str!("../shaders/half.wgsl"), include_str!("../shaders/packed_f16.wgsl"));
const BF16: &str = include_str!("../shaders/packed_bf16.wgsl");

/// What turns pairs of numbers into words, as `pack` does.
fn kernel(files: &str, pack: &str) -> String {
    format!(
        "{files}
@group(0) @binding(0) var<storage, read> numbers: array<vec2<f32>>;
@group(0) @binding(1) var<storage, read_write> words: array<u32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {{
  if (id.x < arrayLength(&words)) {{
    words[id.x] = {pack}(numbers[id.x].x, numbers[id.x].y);
  }}
}}"
    )
}

fn packed(context: &Context, source: &str, numbers: &[u32]) -> Vec<u16> {
    let kernels = context.kernels();
    let (device, queue) = (kernels.device(), kernels.queue());
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: None,
        source: wgpu::ShaderSource::Wgsl(source.into()),
    });
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: None,
        layout: None,
        module: &module,
        entry_point: Some("main"),
        compilation_options: wgpu::PipelineCompilationOptions::default(),
        cache: None,
    });
    let input = device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
        label: None,
        contents: bytemuck::cast_slice(numbers),
        usage: wgpu::BufferUsages::STORAGE,
    });
    let size = 2 * numbers.len() as u64;
    let buffer = |usage| {
        device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
    };
    let output = buffer(wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC);
    let read = buffer(wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST);
    let bound = device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: None,
        layout: &pipeline.get_bind_group_layout(0),
        entries: &[
            wgpu::BindGroupEntry { binding: 0, resource: input.as_entire_binding() },
            wgpu::BindGroupEntry { binding: 1, resource: output.as_entire_binding() },
        ],
    });
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &bound, &[]);
        pass.dispatch_workgroups((numbers.len() as u32 / 2).div_ceil(64), 1, 1);
    }
    encoder.copy_buffer_to_buffer(&output, 0, &read, 0, size);
    queue.submit([encoder.finish()]);
    read.slice(..).map_async(wgpu::MapMode::Read, |result| result.unwrap());
    device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
    let mapped = read.slice(..).get_mapped_range().unwrap();
    bytemuck::cast_slice(&mapped).to_vec()
}

/// Every sign and exponent; digits about every point where rounding to `kept` of 23 turns, and others. Quiet NaNs only,
/// as arithmetic gives no others, with every kind of digits.
fn numbers(kept: u32) -> Vec<u32> {
    let dropped = 23 - kept;
    let mut numbers = Vec::new();
    let mut state = 1u32;
    for upper in 0..512u32 {
        let mut put = |digits: u32| {
            let quiet = if upper & 0xff == 0xff && digits != 0 { 1 << 22 } else { 0 };
            numbers.push(upper << 23 | (digits & 0x007f_ffff) | quiet);
        };
        for high in [0, 1, 2, (1 << kept) - 2, (1 << kept) - 1] {
            for low in [
                0,
                1,
                (1 << (dropped - 1)) - 1,
                1 << (dropped - 1),
                (1 << (dropped - 1)) + 1,
                (1 << dropped) - 1,
            ] {
                put(high << dropped | low);
            }
        }
        // Halves below the normal ones keep fewer digits.
        for bit in 0..23 {
            for digits in [
                1u32 << bit,
                (1 << bit) - 1,
                (1 << bit) + 1,
                3 << bit,
                (3u32 << bit).wrapping_sub(1),
                (3 << bit) + 1,
            ] {
                put(digits);
            }
        }
        for _ in 0..300 {
            // Numerical Recipes' generator.
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            put(state >> 9);
        }
    }
    numbers
}

/// The first number that is rounded otherwise.
fn first_difference(source: &str, kept: u32, rounded: impl Fn(f32) -> (u16, bool)) -> Option<String> {
    let context = context();
    let numbers = numbers(kept);
    let found = packed(context, source, &numbers);
    assert_eq!(found.len(), numbers.len());
    let is_nan = |bits: u16| (bits & 0x7fff) > if kept == 7 { 0x7f80 } else { 0x7c00 };
    numbers.iter().zip(found).find_map(|(&bits, found)| {
        let (want, nan) = rounded(f32::from_bits(bits));
        let same = if nan { is_nan(found) } else { found == want };
        (!same).then(|| format!("{bits:#010x} is {found:#06x} and not {want:#06x}"))
    })
}

fn of_f16(source: &str) -> Option<String> {
    first_difference(source, 10, |number| {
        let half = half::f16::from_f32(number);
        (half.to_bits(), half.is_nan())
    })
}

fn of_bf16(source: &str) -> Option<String> {
    first_difference(source, 7, |number| {
        let half = half::bf16::from_f32(number);
        (half.to_bits(), half.is_nan())
    })
}

#[test]
fn as_the_half_crate_does() {
    println!("{} numbers on the adapter", numbers(10).len() + numbers(7).len());
    assert_eq!(of_f16(&kernel(F16, "pack_f16")), None);
    assert_eq!(of_bf16(&kernel(BF16, "pack_bf16")), None);
}

#[test]
fn wrong_rounding_is_noticed() {
    let f16 = kernel(F16, "pack_f16");
    for (from, to) in [
        ("0x38800000u, 0x47800000u", "0x38000000u, 0x47800000u"),
        ("0x38800000u, 0x47800000u", "0x38800000u, 0x46800000u"),
        ("0x06800000u", "0x07000000u"),
        ("0x0001c400u), 0x7c00u", "0x0001c400u), 0x7bffu"),
        ("select(size, 0x7e00u,", "select(size, 0x7c00u,"),
        ("signs & 0x80008000u", "signs & 0x80000000u"),
    ] {
        assert!(f16.contains(from), "{from}");
        assert!(of_f16(&f16.replace(from, to)).is_some(), "{from} -> {to}");
    }
    let bf16 = kernel(BF16, "pack_bf16");
    for (from, to) in [
        ("0x7fffu + ((bits >> 16u) & 1u)", "0x8000u"),
        ("0x7fffu + ((bits >> 16u) & 1u)", "0x7fffu"),
        ("min(bitcast<i32>(x), 0x7fc00000)", "bitcast<i32>(x)"),
        (", 0xffc00000u)", ", 0xffffffffu)"),
        ("bf16_high(y) & 0xffff0000u", "bf16_high(y)"),
    ] {
        assert!(bf16.contains(from), "{from}");
        assert!(of_bf16(&bf16.replace(from, to)).is_some(), "{from} -> {to}");
    }
}
