/**
 * The inner loops of the decoder, in AssemblyScript: `npm run wasm` builds src/fields/kernels.ts from this page. They
 * work on the module's memory, whose layout the caller chooses.
 */

const COLUMNS = 8; // outputs at once: four vectors of two binary64

/**
 * Sums (count, padded) = x (count, inputs) times weight (inputs, padded), plus bias (padded), all binary64. `padded` is a
 * multiple of 8. A product and a sum are rounded for themselves, as anywhere.
 */
export function affine(x: usize, count: i32, inputs: i32, padded: i32, weight: usize, bias: usize, sums: usize): void {
  const row = (<usize>padded) << 3, step = (<usize>inputs) << 3;
  let n = 0;
  for (; n + 2 <= count; n += 2) {
    for (let o = 0; o < padded; o += COLUMNS) {
      const at = (<usize>o) << 3;
      let a0 = v128.load(bias + at), a1 = v128.load(bias + at, 16), a2 = v128.load(bias + at, 32), a3 = v128.load(bias + at, 48);
      let b0 = a0, b1 = a1, b2 = a2, b3 = a3;
      for (let j: usize = 0, w = weight + at; j < step; j += 8, w += row) {
        const p = v128.load64_splat(x + j), q = v128.load64_splat(x + step + j);
        const w0 = v128.load(w), w1 = v128.load(w, 16), w2 = v128.load(w, 32), w3 = v128.load(w, 48);
        a0 = f64x2.add(a0, f64x2.mul(p, w0)); b0 = f64x2.add(b0, f64x2.mul(q, w0));
        a1 = f64x2.add(a1, f64x2.mul(p, w1)); b1 = f64x2.add(b1, f64x2.mul(q, w1));
        a2 = f64x2.add(a2, f64x2.mul(p, w2)); b2 = f64x2.add(b2, f64x2.mul(q, w2));
        a3 = f64x2.add(a3, f64x2.mul(p, w3)); b3 = f64x2.add(b3, f64x2.mul(q, w3));
      }
      v128.store(sums + at, a0); v128.store(sums + at, a1, 16); v128.store(sums + at, a2, 32); v128.store(sums + at, a3, 48);
      v128.store(sums + row + at, b0); v128.store(sums + row + at, b1, 16);
      v128.store(sums + row + at, b2, 32); v128.store(sums + row + at, b3, 48);
    }
    x += 2 * step;
    sums += 2 * row;
  }
  if (n == count) return;
  for (let o = 0; o < padded; o += 2) {
    const at = (<usize>o) << 3;
    let sum = v128.load(bias + at);
    for (let j: usize = 0, w = weight + at; j < step; j += 8, w += row) {
      sum = f64x2.add(sum, f64x2.mul(v128.load64_splat(x + j), v128.load(w)));
    }
    v128.store(sums + at, sum);
  }
}
