// All kernels as one C++ file over the shim. What finds them stands here too, so that a linker which wants it takes them all.
#include "mma.h"
#include "shim.h"

#include "activation.cu"
#include "add_norm.cu"
#include "attention.cu"
#include "attention_backward.cu"
#include "column_sums.cu"
#include "copy.cu"
#include "elementwise.cu"
#include "embedding.cu"
#include "losses.cu"
#include "mma_check.cu"
#include "optimizer.cu"
#include "reduce.cu"
#include "rotary.cu"
#include "sequence_means.cu"
#include "softmax.cu"

namespace shim {
const Kernel* find(const char* name);
}

extern "C" shim::Body ferrotune_shim_find(const char* name, unsigned long* params) {
    const shim::Kernel* kernel = shim::find(name);
    if (!kernel) return nullptr;
    *params = kernel->params;
    return kernel->body;
}
