"""Peak dense bfloat16 FLOP/s of accelerators, without sparsity, from their makers' data sheets."""

from __future__ import annotations

PEAK_FLOPS: dict[str, float] = {
    "A100": 312e12,  # NVIDIA A100 data sheet
    "H100": 989e12,  # NVIDIA H100 SXM data sheet, half of the figure with sparsity
    "H100-PCIe": 756e12,  # NVIDIA H100 PCIe data sheet, half of the figure with sparsity
    "H200": 989e12,  # NVIDIA H200 data sheet, half of the figure with sparsity
    "B200": 2250e12,  # NVIDIA DGX B200 data sheet, half of the figure with sparsity, per GPU
    "L40S": 362e12,  # NVIDIA L40S data sheet, half of the figure with sparsity
    "MI250X": 383e12,  # AMD Instinct MI250X data sheet
    "MI300X": 1307e12,  # AMD Instinct MI300X data sheet
    "TPUv4": 275e12,  # Google Cloud TPU v4 documentation
    "TPUv5e": 197e12,  # Google Cloud TPU v5e documentation
    "TPUv5p": 459e12,  # Google Cloud TPU v5p documentation
}
