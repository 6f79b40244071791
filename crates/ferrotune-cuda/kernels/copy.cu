// Numbers from one storage to another. Twin: src/launch/copy.rs.
#include "common.cuh"

struct ConvertParams {
    View y;
    View x;
    u64 len;
};

KERNEL(convert, ConvertParams) {
    u64 i = global_index();
    if (i < p.len) store(p.y, i, load(p.x, i));
}
