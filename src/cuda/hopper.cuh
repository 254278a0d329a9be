// SPDX-License-Identifier: Apache-2.0
// What only compute capability 9.0 has: the bulk tensor copy, barriers in shared memory that count
// its bytes, and products of a whole warpgroup (four warps) with operands in shared memory.
//
// Operands are tiles of rows of 128 bytes, 1,024-byte aligned, whose 16-byte chunks the copy
// exchanges as tile.cuh does by hand: chunk c of row r lies at c ^ (r % 8).
#ifndef WB_CUDA_HOPPER_CUH
#define WB_CUDA_HOPPER_CUH

#include <cuda.h>

#include "cuda/tile.cuh"

// ---- Barriers. A phase ends when all arrivals and all announced bytes are there. ----

__device__ inline void barrier_init(uint64_t *barrier, int n_arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)),
                 "r"(n_arrivals)
                 : "memory");
}

// Makes initialised barriers visible to the copy engine; before the block's next __syncthreads.
__device__ inline void barrier_publish() {
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

__device__ inline void barrier_arrive(uint64_t *barrier) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier))
                 : "memory");
}

// Arrives, and announces n_bytes of copies.
__device__ inline void barrier_expect(uint64_t *barrier, int n_bytes) {
    asm volatile(
        "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)),
        "r"(n_bytes)
        : "memory");
}

// Until the phase of this parity has ended; at once for parity 1 of a new barrier.
__device__ inline void barrier_wait(uint64_t *barrier, int parity) {
    asm volatile(
        "{\n"
        ".reg .pred is_done;\n"
        "again:\n"
        "mbarrier.try_wait.parity.shared::cta.b64 is_done, [%0], %1;\n"
        "@!is_done bra again;\n"
        "}\n" ::"r"(shared_address(barrier)),
        "r"(parity)
        : "memory");
}

// The same where other blocks of the cluster have written.
__device__ inline void barrier_wait_cluster(uint64_t *barrier, int parity) {
    asm volatile(
        "{\n"
        ".reg .pred is_done;\n"
        "again:\n"
        "mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 is_done, [%0], %1;\n"
        "@!is_done bra again;\n"
        "}\n" ::"r"(shared_address(barrier)),
        "r"(parity)
        : "memory");
}

// Of some of a block's threads, by number: one side waits for the other.
__device__ inline void threads_wait(int number, int n_threads) {
    asm volatile("bar.sync %0, %1;" ::"r"(number), "r"(n_threads) : "memory");
}

__device__ inline void threads_arrive(int number, int n_threads) {
    asm volatile("bar.arrive %0, %1;" ::"r"(number), "r"(n_threads) : "memory");
}

// ---- Copies of a tile, started by one thread; out of the tensor's bounds zeros arrive ----

__device__ inline void copy_tile2(void *to, const CUtensorMap *map, int at0, int at1,
                                  uint64_t *barrier) {
    asm volatile(
        "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes "
        "[%0], [%1, {%2, %3}], [%4];\n" ::"r"(shared_address(to)),
        "l"(map), "r"(at0), "r"(at1), "r"(shared_address(barrier))
        : "memory");
}

__device__ inline void copy_tile3(void *to, const CUtensorMap *map, int at0, int at1, int at2,
                                  uint64_t *barrier) {
    asm volatile(
        "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes "
        "[%0], [%1, {%2, %3, %4}], [%5];\n" ::"r"(shared_address(to)),
        "l"(map), "r"(at0), "r"(at1), "r"(at2), "r"(shared_address(barrier))
        : "memory");
}

// ---- Products of a warpgroup ----

// More registers for the warps that compute, fewer for those that only start copies.
template <int N>
__device__ inline void registers_grow() {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(N));
}

template <int N>
__device__ inline void registers_shrink() {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(N));
}

// Where a tile's k begins, as an operand; 32 bytes further along k are an operand 2 larger.
__device__ inline uint64_t operand_of(const void *tile) {
    const uint64_t exchanged = 1, eight_rows = 1024 >> 4;
    return (shared_address(tile) >> 4) | 1 << 16 | eight_rows << 32 | exchanged << 62;
}

__device__ inline void group_fence() {
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}

__device__ inline void group_commit() {
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}

// Until at most LEFT committed groups of products are unfinished.
template <int LEFT>
__device__ inline void group_wait() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(LEFT) : "memory");
}

// c += a[64, 32] . b[256, 32]^T of a warpgroup, or c = where is_first; a and b as descriptors.
__device__ inline void multiply_group(float c[128], uint64_t a, uint64_t b, bool is_first) {
    asm volatile(
        "{\n"
        ".reg .pred is_added;\n"
        "setp.eq.u32 is_added, %130, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n256k32.f32.e4m3.e4m3 {"
        "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
        "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
        "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
        "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, "
        "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, "
        "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, "
        "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, "
        "%111, "
        "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, "
        "%127}, "
        "%128, %129, is_added, 1, 1;\n"
        "}\n"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3]), "+f"(c[4]), "+f"(c[5]), "+f"(c[6]),
          "+f"(c[7]), "+f"(c[8]), "+f"(c[9]), "+f"(c[10]), "+f"(c[11]), "+f"(c[12]), "+f"(c[13]),
          "+f"(c[14]), "+f"(c[15]), "+f"(c[16]), "+f"(c[17]), "+f"(c[18]), "+f"(c[19]), "+f"(c[20]),
          "+f"(c[21]), "+f"(c[22]), "+f"(c[23]), "+f"(c[24]), "+f"(c[25]), "+f"(c[26]), "+f"(c[27]),
          "+f"(c[28]), "+f"(c[29]), "+f"(c[30]), "+f"(c[31]), "+f"(c[32]), "+f"(c[33]), "+f"(c[34]),
          "+f"(c[35]), "+f"(c[36]), "+f"(c[37]), "+f"(c[38]), "+f"(c[39]), "+f"(c[40]), "+f"(c[41]),
          "+f"(c[42]), "+f"(c[43]), "+f"(c[44]), "+f"(c[45]), "+f"(c[46]), "+f"(c[47]), "+f"(c[48]),
          "+f"(c[49]), "+f"(c[50]), "+f"(c[51]), "+f"(c[52]), "+f"(c[53]), "+f"(c[54]), "+f"(c[55]),
          "+f"(c[56]), "+f"(c[57]), "+f"(c[58]), "+f"(c[59]), "+f"(c[60]), "+f"(c[61]), "+f"(c[62]),
          "+f"(c[63]), "+f"(c[64]), "+f"(c[65]), "+f"(c[66]), "+f"(c[67]), "+f"(c[68]), "+f"(c[69]),
          "+f"(c[70]), "+f"(c[71]), "+f"(c[72]), "+f"(c[73]), "+f"(c[74]), "+f"(c[75]), "+f"(c[76]),
          "+f"(c[77]), "+f"(c[78]), "+f"(c[79]), "+f"(c[80]), "+f"(c[81]), "+f"(c[82]), "+f"(c[83]),
          "+f"(c[84]), "+f"(c[85]), "+f"(c[86]), "+f"(c[87]), "+f"(c[88]), "+f"(c[89]), "+f"(c[90]),
          "+f"(c[91]), "+f"(c[92]), "+f"(c[93]), "+f"(c[94]), "+f"(c[95]), "+f"(c[96]), "+f"(c[97]),
          "+f"(c[98]), "+f"(c[99]), "+f"(c[100]), "+f"(c[101]), "+f"(c[102]), "+f"(c[103]),
          "+f"(c[104]), "+f"(c[105]), "+f"(c[106]), "+f"(c[107]), "+f"(c[108]), "+f"(c[109]),
          "+f"(c[110]), "+f"(c[111]), "+f"(c[112]), "+f"(c[113]), "+f"(c[114]), "+f"(c[115]),
          "+f"(c[116]), "+f"(c[117]), "+f"(c[118]), "+f"(c[119]), "+f"(c[120]), "+f"(c[121]),
          "+f"(c[122]), "+f"(c[123]), "+f"(c[124]), "+f"(c[125]), "+f"(c[126]), "+f"(c[127])
        : "l"(a), "l"(b), "r"((uint32_t)is_first));
}

#endif
