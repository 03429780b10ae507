/** Frequencies of integers with a Laplace distribution (docs/format.md, section 6.10). */

/** The largest sigma; the least is -SIGMA. */
export const SIGMA = 40;
/** Sum of the frequencies of a row is 2^TOTAL_BITS. */
export const TOTAL_BITS = 14;

/**
 * Distributions of all rows 16 (sigma + 40) + f. Symbol 0 is an escape, and symbol 128 + d the integer d. `frequencies` and
 * `starts`, the sums of those before, have 256 entries a row; `radii` are R.
 */
export interface Tables {
  readonly frequencies: Int32Array;
  readonly starts: Int32Array;
  readonly radii: Int32Array;
}

const FRACTIONS = 16, MOST_RADIUS = 127, ONE = 2 ** 30, ZERO = 128;
let known: Tables | undefined;

/** The tables, made on first use. */
export function tables(): Tables {
  return (known ??= made());
}

function made(): Tables {
  const rows = (2 * SIGMA + 1) * FRACTIONS, frequencies = new Int32Array(256 * rows), starts = new Int32Array(256 * rows);
  const radii = new Int32Array(rows), tail = new Float64Array(FRACTIONS * (MOST_RADIUS + 1) + 1);
  const below = (t: number) => (t < 0 ? tail[-t] : 2 * ONE - tail[t]); // twice the mass below t sixteenths
  for (let sigma = -SIGMA; sigma <= SIGMA; sigma++) {
    fillTail(tail, sixteenth(sigma));
    let radius = 1;
    while (radius < MOST_RADIUS && tail[FRACTIONS * radius + FRACTIONS / 2] >= ONE / 2 ** 15) radius++;
    for (let f = 0; f < FRACTIONS; f++) {
      const row = FRACTIONS * (sigma + SIGMA) + f, at = 256 * row;
      let left = 2 ** TOTAL_BITS - 1;
      frequencies[at] = 1;
      for (let d = -radius; d <= radius; d++) {
        const mass = below(FRACTIONS * (d + 1) - f) - below(FRACTIONS * d - f);
        const frequency = Math.max(1, Math.floor((mass + 2 ** 16) / 2 ** 17));
        frequencies[at + ZERO + d] = frequency;
        left -= frequency;
      }
      frequencies[at + ZERO] += left;
      for (let symbol = 1; symbol < 256; symbol++) starts[at + symbol] = starts[at + symbol - 1] + frequencies[at + symbol - 1];
      radii[row] = radius;
    }
  }
  return { frequencies, starts, radii };
}

/** exp(-n/(16 b)) in units of 2^-30: each entry is the one before times `ratio`, rounded down. */
function fillTail(tail: Float64Array, ratio: number): void {
  const high = Math.floor(ratio / 2 ** 15), low = ratio % 2 ** 15;
  tail[0] = ONE;
  for (let n = 1; n < tail.length; n++) {
    // A product of two numbers of 31 bits in halves, which binary64 holds.
    tail[n] = Math.floor((tail[n - 1] * high + Math.floor((tail[n - 1] * low) / 2 ** 15)) / 2 ** 15);
  }
}

/** exp(-1/(16 b)) in units of 2^-30, rounded down: a Taylor series with 64 fractional bits. */
function sixteenth(sigma: number): number {
  const z = root(root(root(1n << BigInt(480 - sigma)))); // 2^(60 - sigma / 8), rounded down
  let sum = 1n << 64n;
  for (let n = 1n, term = sum; term > 0n; n++) {
    term = (term * z) / (n << 64n);
    sum += n % 2n ? -term : term;
  }
  return Number(sum >> 34n);
}

/** The square root of an integer, rounded down. */
export function root(value: bigint): bigint {
  let x = 1n << BigInt((value.toString(2).length + 1) >> 1);
  for (;;) {
    const next = (x + value / x) >> 1n;
    if (next >= x) return x;
    x = next;
  }
}
