"""Models and their training.

Imported before TensorFlow, it turns oneDNN's kernels on: TensorFlow does so by itself only where the processor has
AVX512-VNNI or better, and else convolves with kernels built for plain AVX. A step of a small CNN (28x28, batch 64)
takes 0.55 of the CPU time on a processor with AVX2. `TF_ENABLE_ONEDNN_OPTS=0` in the environment keeps them off.
"""

import os
import platform

if platform.machine() in ("x86_64", "AMD64"):
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
