"""Memory on the CPU: what a step frees, the next one asks for again, and the first touch of a page is dear."""

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h, in bytes
LARGE = (2**30, 2**25)  # older releases take no more than 32 MiB


def keep_freed() -> bool:
    """From now on this process keeps what it frees, up to its peak; whether its C library can, as glibc can.

    A step of `cifar_resnet20` takes a core 7 % less time so, one of `resnet50` 2 %.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    # In this order: the second alone would have every larger tensor mapped anew.
    return any(mallopt(M_MMAP_THRESHOLD, size) for size in LARGE) and bool(
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
    )
