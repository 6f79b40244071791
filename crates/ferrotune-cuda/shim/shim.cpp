// The fibers behind shim.h. A fiber runs until its next barrier; the scheduler goes round until all threads of the block have ended.
#include "shim.h"
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>
#include <vector>

namespace shim {
thread_local Thread* current;
thread_local Block now;

namespace {
enum State { READY, AT_BLOCK_BARRIER, AT_WARP_BARRIER, DONE };

struct Fiber {
    Thread thread;
    State state;
    bool has_begun;
    // How it begins, on a stack of its own; from then on jumps, which unlike swapcontext ask nothing of the system.
    ucontext_t context;
    jmp_buf place;
};

const unsigned long STACK = 64 * 1024;

struct Team {
    std::vector<Fiber> fibers;
    std::vector<unsigned char> stacks;
    // 64 bytes a lane. Lanes write, meet, read, and meet again (see shuffle) before the next exchange writes.
    std::vector<unsigned char> slots;
    ucontext_t scheduler;
    jmp_buf scheduler_place;
    Body body;
    const void* params;
};
thread_local Team team;
const Kernel* first;

void fail(const char* what) {
    fprintf(stderr, "shim: block %u,%u thread %u: %s\n", now.block.x, now.block.y, current ? current->thread.x : 0, what);
    abort();
}

void wait(State state) {
    Fiber& fiber = team.fibers[current->thread.x];
    fiber.state = state;
    if (_setjmp(fiber.place) == 0) _longjmp(team.scheduler_place, 1);
}

// Lets a fiber run until it waits.
void go_on(Fiber& fiber) {
    current = &fiber.thread;
    if (_setjmp(team.scheduler_place) != 0) return;
    if (fiber.has_begun) _longjmp(fiber.place, 1);
    fiber.has_begun = true;
    swapcontext(&team.scheduler, &fiber.context);
}

void enter() {
    team.body(team.params);
    wait(DONE);
}

// Lets those go on that have all come to their barrier.
void release() {
    unsigned long threads = team.fibers.size(), at_block = 0, done = 0;
    for (Fiber& fiber : team.fibers) {
        at_block += fiber.state == AT_BLOCK_BARRIER;
        done += fiber.state == DONE;
    }
    if (at_block == threads) {
        for (Fiber& fiber : team.fibers) fiber.state = READY;
        return;
    }
    if (at_block > 0 && at_block + done == threads) fail("some threads ended while others wait at __syncthreads");
    bool released = false;
    for (unsigned long from = 0; from < threads; from += 32) {
        unsigned long waiting = 0;
        for (unsigned long i = from; i < from + 32; i++) waiting += team.fibers[i].state == AT_WARP_BARRIER;
        if (waiting == 0) continue;
        // Nobody is ready when this is called, so a lane that is not here waits elsewhere or has ended.
        if (waiting != 32) fail("the lanes of a warp wait at different places");
        for (unsigned long i = from; i < from + 32; i++) team.fibers[i].state = READY;
        released = true;
    }
    if (!released) fail("no thread can go on");
}

// A function of its own, that is not inlined: getcontext may return twice, and what its caller keeps in registers is then lost.
__attribute__((noinline)) void prepare(unsigned long i) {
    Fiber& fiber = team.fibers[i];
    fiber.thread = Thread{Dim{(unsigned int)i, 0, 0}, (unsigned int)(i % 32), (unsigned int)(i / 32)};
    fiber.state = READY;
    fiber.has_begun = false;
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = &team.stacks[i * STACK];
    fiber.context.uc_stack.ss_size = STACK;
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, enter, 0);
}

void run_block(bool descending) {
    unsigned long threads = now.threads.x, done = 0;
    for (unsigned long i = 0; i < threads; i++) prepare(i);
    while (done < threads) {
        done = 0;
        for (unsigned long n = 0; n < threads; n++) {
            Fiber& fiber = team.fibers[descending ? threads - 1 - n : n];
            if (fiber.state == READY) go_on(fiber);
            done += fiber.state == DONE;
        }
        if (done < threads) release();
    }
    current = nullptr;
}

void run(Body body, const void* params, Dim grid, unsigned int block, unsigned long shared, bool descending) {
    std::vector<unsigned char> memory(shared + 16);
    team.fibers.resize(block);
    // It only grows: what a vector takes anew it fills with zeros.
    if (team.stacks.size() < block * STACK) team.stacks.resize(block * STACK);
    team.slots.resize(block * 64);
    team.body = body;
    team.params = params;
    now.blocks = grid;
    now.threads = Dim{block, 1, 1};
    now.dynamic_shared = (unsigned char*)(((uintptr_t)memory.data() + 15) / 16 * 16);
    for (unsigned int y = 0; y < grid.y; y++) {
        for (unsigned int x = 0; x < grid.x; x++) {
            now.block = Dim{x, y, 0};
            // What a kernel reads before it writes shows as not-a-number.
            memset(memory.data(), 0xff, memory.size());
            run_block(descending);
        }
    }
}
}  // namespace

void block_barrier() { wait(AT_BLOCK_BARRIER); }
void warp_barrier() { wait(AT_WARP_BARRIER); }

const unsigned char* exchange(const void* value, unsigned long bytes) {
    unsigned char* slots = &team.slots[current->warp * 32 * 64];
    memcpy(slots + 64 * current->lane, value, bytes);
    warp_barrier();
    return slots;
}

Kernel::Kernel(const char* name, Body body, unsigned long params) : name(name), body(body), params(params), next(first) {
    first = this;
}

const Kernel* find(const char* name) {
    for (const Kernel* kernel = first; kernel; kernel = kernel->next)
        if (strcmp(kernel->name, name) == 0) return kernel;
    return nullptr;
}
}  // namespace shim

extern "C" void ferrotune_shim_run(shim::Body body, const void* params, unsigned int x, unsigned int y, unsigned int block,
                                   unsigned long shared, int descending) {
    shim::run(body, params, Dim{x, y, 1}, block, shared, descending != 0);
}
