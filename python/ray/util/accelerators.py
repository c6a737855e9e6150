"""Names of accelerators, for `@ray.remote(accelerator_type=...)`."""

# NVIDIA, by generation
NVIDIA_TESLA_K80 = "K80"
NVIDIA_TESLA_P4 = "P4"
NVIDIA_TESLA_P100 = "P100"
NVIDIA_TESLA_V100 = "V100"
NVIDIA_TESLA_T4 = "T4"
NVIDIA_TESLA_A10G = "A10G"
NVIDIA_A100 = "A100"
NVIDIA_A100_40G = "A100-40G"
NVIDIA_A100_80G = "A100-80G"
NVIDIA_L4 = "L4"
NVIDIA_L40S = "L40S"
NVIDIA_H100 = "H100"
NVIDIA_H200 = "H200"
NVIDIA_H20 = "H20"
NVIDIA_B200 = "B200"

# AMD
AMD_INSTINCT_MI100 = "AMD-Instinct-MI100"
AMD_INSTINCT_MI210 = "AMD-Instinct-MI210"
AMD_INSTINCT_MI250 = "AMD-Instinct-MI250X-MI250"
AMD_INSTINCT_MI250x = "AMD-Instinct-MI250X"
AMD_INSTINCT_MI300A = "AMD-Instinct-MI300A"
AMD_INSTINCT_MI300x = "AMD-Instinct-MI300X-OAM"
AMD_INSTINCT_MI300x_HF = "AMD-Instinct-MI300X-HF"
AMD_INSTINCT_MI308x = "AMD-Instinct-MI308X"
AMD_INSTINCT_MI325x = "AMD-Instinct-MI325X-OAM"
AMD_RADEON_HD_7900 = "AMD-Radeon-HD-7900"
AMD_RADEON_R9_200_HD_7900 = "AMD-Radeon-R9-200-HD-7900"

# Intel
INTEL_MAX_1100 = "Intel-GPU-Max-1100"
INTEL_MAX_1550 = "Intel-GPU-Max-1550"
INTEL_GAUDI = "Intel-GAUDI"

# Amazon, Google, Huawei
AWS_NEURON_CORE = "aws-neuron-core"
GOOGLE_TPU_V2 = "TPU-V2"
GOOGLE_TPU_V3 = "TPU-V3"
GOOGLE_TPU_V4 = "TPU-V4"
GOOGLE_TPU_V5P = "TPU-V5P"
GOOGLE_TPU_V5LITEPOD = "TPU-V5LITEPOD"
GOOGLE_TPU_V6E = "TPU-V6E"
HUAWEI_NPU_910B = "Ascend910B"
HUAWEI_NPU_910B4 = "Ascend910B4"

_RENAMED = {"NVIDIA_TESLA_A100": "NVIDIA_A100"}


def __getattr__(name):
    if name in _RENAMED:
        import warnings

        from ray.util.annotations import RayDeprecationWarning

        warnings.warn(f"{name} is deprecated, use {_RENAMED[name]} instead.", RayDeprecationWarning, stacklevel=2)
        return globals()[_RENAMED[name]]
    raise AttributeError(f"module 'ray.util.accelerators' has no attribute {name!r}")
