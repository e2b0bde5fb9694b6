/* Fake quantization in one pass forward and one pass backward.
 *
 * A tensor is `outer` slabs of `groups` rows of `inner` contiguous float32 values; row g of every slab has its own
 * scale[g] and zero point zero[g] (an integer held in a float). Slabs of x lie x_stride values apart; y, gradient and
 * dx are contiguous. Work is cut into blocks of BLOCK values whose partial sums are added in order, so that the result
 * does not depend on the number of threads. NaN in any input stays visible.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

enum { BLOCK = 16384 };

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

void crqat_forward(const float *x, int64_t x_stride, float *y, int64_t outer, int64_t groups, int64_t inner,
                   const float *scale, const float *zero, float quant_min, float quant_max, int threads) {
    const int64_t blocks = (inner + BLOCK - 1) / BLOCK;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t task = 0; task < outer * groups * blocks; task++) {
        const int64_t row = task / blocks, start = (task % blocks) * BLOCK;
        const int64_t slab = row / groups, group = row % groups, count = smaller(BLOCK, inner - start);
        const float *source = x + slab * x_stride + group * inner + start;
        float *target = y + row * inner + start;
        const float low = quant_min - zero[group], high = quant_max - zero[group];
        const float step = isnan(low) ? low : scale[group];
#pragma omp simd
        for (int64_t i = 0; i < count; i++) {
            float code = rintf(source[i] / step);
            code = code < low ? low : code;
            code = code > high ? high : code;
            target[i] = code * step;
        }
    }
}

/* dscale[g] = sum of gradient * (code - value inside the mask, code outside); with by_rounding = 0, nothing inside.
 * outside[g] = sum of gradient outside the mask. dx = gradient inside the mask, else 0. Returns 0 if memory is short. */
int crqat_backward(const float *gradient, const float *x, int64_t x_stride, float *dx, int64_t outer, int64_t groups,
                   int64_t inner, const float *scale, const float *zero, float quant_min, float quant_max,
                   float margin, int by_rounding, double *dscale, double *outside, int threads) {
    const int64_t blocks = (inner + BLOCK - 1) / BLOCK, tasks = outer * groups * blocks;
    double *partial = malloc(sizeof(double) * 2 * (size_t)(tasks + 1));
    if (partial == NULL) return 0;
    const float weight = by_rounding ? 1.0f : 0.0f;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t task = 0; task < tasks; task++) {
        const int64_t row = task / blocks, start = (task % blocks) * BLOCK;
        const int64_t slab = row / groups, group = row % groups, count = smaller(BLOCK, inner - start);
        const float *source = x + slab * x_stride + group * inner + start;
        const float *incoming = gradient + row * inner + start;
        float *target = dx + row * inner + start;
        const float low = quant_min - zero[group], high = quant_max - zero[group];
        const float step = isnan(low) ? low : scale[group];
        float steps = 0.0f, lost = 0.0f;
#pragma omp simd reduction(+ : steps, lost)
        for (int64_t i = 0; i < count; i++) {
            const float value = source[i] / step, g = incoming[i];
            float code = rintf(value);
            code = code < low ? low : code;
            code = code > high ? high : code;
            const int is_outside = (value <= low - margin) | (value >= high + margin);
            steps += g * (is_outside ? code : weight * (code - value));
            lost += is_outside ? g : 0.0f;
            target[i] = is_outside ? 0.0f : g;
        }
        partial[2 * task] = steps;
        partial[2 * task + 1] = lost;
    }
    for (int64_t group = 0; group < groups; group++) dscale[group] = outside[group] = 0.0;
    for (int64_t task = 0; task < tasks; task++) {
        dscale[(task / blocks) % groups] += partial[2 * task];
        outside[(task / blocks) % groups] += partial[2 * task + 1];
    }
    free(partial);
    return 1;
}
