// All kernels as one C++ file over the shim. What finds them stands here too, so that a linker which wants it takes them all.
#include "mma.h"
#include "shim.h"

#include "attention.cu"
#include "attention_backward.cu"
#include "copy.cu"
#include "elementwise.cu"
#include "mma_check.cu"

namespace shim {
const Kernel* find(const char* name);
}

extern "C" shim::Body ferrotune_shim_find(const char* name, unsigned long* params) {
    const shim::Kernel* kernel = shim::find(name);
    if (!kernel) return nullptr;
    *params = kernel->params;
    return kernel->body;
}
