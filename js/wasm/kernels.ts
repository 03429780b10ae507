/**
 * The inner loops of the decoder, in AssemblyScript: `npm run wasm` builds src/wasm/kernels.ts from this page. They
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

const CLIP = 255, HIDDEN = 32767, SIGMA = 40, MASK = 16383, BITS = 14, LEAST: u32 = 1 << 16, LONGEST_ESCAPE = 5;
/** What `latents` returns: all is well, bytes are missing, or no encoder wrote these. */
const TRUNCATED = 1, MALFORMED = 2;

/** The state of the decoder, bytes of its stream and the next one of them, for `latents`. */
export let state: u32 = 0;
export let next: i32 = 0;

export function begin(first: u32): void {
  state = first;
  next = 0;
}

/**
 * Decodes the latents of a level (docs/format.md, section 6.10): `count` of them in the order of `order`, numbers of
 * plane and place, into `found`. Arrays are of 32 bits.
 *
 * `places`, `cells` (size): where a place is in a plane of `seen`, and in the coarser level; `starts`: where each coded
 * plane is in `seen`. `steps` (taps): distances of the inputs, `first` (taps, lanes) their weights; `from` (planes, `many`
 * cells, lanes): bias and what the coarser level adds. Lanes are those of the hidden values, padded to fours, and two more,
 * padded as well. `second` (width, lanes of hidden values), its biases, `third` (2, hidden lanes) and its two biases.
 * `tables` has 256 starts and then 256 frequencies for each row, `radii` an entry for each.
 */
export function latents(
  order: usize, count: i32, size: i32, places: usize, cells: usize, starts: usize, seen: usize, steps: usize, taps: i32,
  first: usize, from: usize, many: i32, width: i32, second: usize, secondBias: usize, third: usize, thirdBias: usize,
  tables: usize, radii: usize, bytes: usize, length: i32, found: usize, outer: usize, hidden: usize,
): i32 {
  const lanes = (width + 3) & ~3, all = lanes + 4, row = <usize>lanes << 2, wide = <usize>all << 2;
  for (let i = 0; i < count; i++) {
    const index = load<i32>(order + (<usize>i << 2)), number = index / size, x = index - number * size;
    const own = seen + (<usize>(load<i32>(starts + (<usize>number << 2)) + load<i32>(places + (<usize>x << 2))) << 2);
    const parent = from + <usize>(number * many + load<i32>(cells + (<usize>x << 2))) * wide;
    memory.copy(outer, parent, wide);
    for (let t = 0, w = first; t < taps; t++, w += wide) {
      const value = load<i32>(own + (<isize>load<i32>(steps + (<usize>t << 2)) << 2));
      if (value == 0) continue; // most are
      const factor = i32x4.splat(value);
      for (let r: usize = 0; r < wide; r += 16) {
        v128.store(outer + r, i32x4.add(v128.load(outer + r), i32x4.mul(v128.load(w + r), factor)));
      }
    }
    const least = i32x4.splat(-HIDDEN - 1), most = i32x4.splat(HIDDEN);
    for (let r: usize = 0; r < row; r += 16) {
      const value = i32x4.min_s(i32x4.max_s(v128.load(outer + r), least), most);
      v128.store(hidden + r, i32x4.max_s(value, i32x4.shr_s(value, 3)));
    }
    let mus = i32x4.splat(0), spreads = i32x4.splat(0);
    for (let r: usize = 0; r < row; r += 16) {
      let sums = v128.load(secondBias + r);
      for (let j = 0, w = second + r; j < width; j++, w += row) {
        sums = i32x4.add(sums, i32x4.mul(v128.load(w), v128.load32_splat(hidden + (<usize>j << 2))));
      }
      const value = i32x4.min_s(i32x4.max_s(i32x4.shr_s(sums, 8), least), most);
      const active = i32x4.min_s(i32x4.add(i32x4.max_s(value, i32x4.shr_s(value, 3)), v128.load(hidden + r)), most);
      mus = i32x4.add(mus, i32x4.mul(v128.load(third + r), active));
      spreads = i32x4.add(spreads, i32x4.mul(v128.load(third + row + r), active));
    }
    const mu = load<i32>(thirdBias) + sumOf(mus), spread = load<i32>(thirdBias, 4) + sumOf(spreads);
    const mean = ((mu >> 8) + load<i32>(outer + row) + 8) >> 4, centre = (mean + 8) >> 4;
    const sigma = min(max(((spread >> 8) + load<i32>(outer + row, 4) + 16) >> 5, -SIGMA), SIGMA);
    const own_row = 16 * (sigma + SIGMA) + mean - 16 * centre + 8, table = tables + (<usize>own_row << 11);

    const slot = <i32>(state & MASK);
    let symbol: usize = 128;
    while (slot < load<i32>(table + (symbol << 2))) symbol--;
    while (slot >= load<i32>(table + (symbol << 2)) + load<i32>(table + (symbol << 2), 1024)) symbol++;
    state = <u32>load<i32>(table + (symbol << 2), 1024) * (state >> BITS) + <u32>(slot - load<i32>(table + (symbol << 2)));
    if (!filled(bytes, length)) return TRUNCATED;
    let value = <i64>centre + <i64>symbol - 128;
    if (symbol == 0) {
      let rest: i64 = 0, byte = 128;
      for (let k = 0; byte >= 128; k++) {
        if (k == LONGEST_ESCAPE) return MALFORMED;
        const part = <i32>(state & MASK);
        byte = part >> 6;
        state = 64 * (state >> BITS) + <u32>(part & 63);
        if (!filled(bytes, length)) return TRUNCATED;
        rest |= <i64>(byte & 127) << (7 * k);
        if (byte == 0 && k > 0) return MALFORMED;
      }
      const distance = (rest >> 1) + load<i32>(radii + (<usize>own_row << 2)) + 1;
      value = <i64>centre + (rest & 1 ? -distance : distance);
      if (value < i32.MIN_VALUE || value > i32.MAX_VALUE) return MALFORMED;
    }
    store<i32>(found + (<usize>index << 2), <i32>value);
    store<i32>(own, min(max(<i32>value, -CLIP), CLIP));
  }
  return 0;
}

/** Takes the next word where the state is too small; false where there is none. */
function filled(bytes: usize, length: i32): bool {
  if (state >= LEAST) return true;
  if (next + 1 >= length) return false;
  state = (state << 16) | load<u16>(bytes + next);
  next += 2;
  return true;
}

function sumOf(lanes: v128): i32 {
  return i32x4.extract_lane(lanes, 0) + i32x4.extract_lane(lanes, 1) + i32x4.extract_lane(lanes, 2) + i32x4.extract_lane(lanes, 3);
}
