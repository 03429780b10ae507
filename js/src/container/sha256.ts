/** The hash that names bases (docs/format.md, section 11): SHA-256 of FIPS 180-4, for browsers without a synchronous one. */

const { floor, pow } = Math;

/** The first 32 bits of the fractions of roots of the first primes. */
function fractions(count: number, root: number): Uint32Array {
  const words = new Uint32Array(count);
  for (let n = 2, found = 0; found < count; n++) {
    let isPrime = true;
    for (let d = 2; d * d <= n && isPrime; d++) isPrime = n % d !== 0;
    if (isPrime) words[found++] = (pow(n, 1 / root) % 1) * 2 ** 32;
  }
  return words;
}

const START = fractions(8, 2), ROUNDS = fractions(64, 3);

/** SHA-256 of bytes, 32 bytes. */
export function sha256(data: Uint8Array): Uint8Array {
  const padded = new Uint8Array(64 * floor((data.length + 72) / 64)), view = new DataView(padded.buffer);
  padded.set(data);
  padded[data.length] = 0x80;
  view.setUint32(padded.length - 8, floor(data.length / 2 ** 29));
  view.setUint32(padded.length - 4, data.length * 8);
  const state = START.slice(), w = new Uint32Array(64);
  for (let block = 0; block < padded.length; block += 64) {
    for (let i = 0; i < 16; i++) w[i] = view.getUint32(block + 4 * i);
    for (let i = 16; i < 64; i++) {
      const x = w[i - 15], y = w[i - 2];
      w[i] = w[i - 16] + (rotated(x, 7) ^ rotated(x, 18) ^ (x >>> 3)) + w[i - 7] + (rotated(y, 17) ^ rotated(y, 19) ^ (y >>> 10));
    }
    let [a, b, c, d, e, f, g, h] = state;
    for (let i = 0; i < 64; i++) {
      const one = h + (rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)) + ((e & f) ^ (~e & g)) + ROUNDS[i] + w[i];
      const two = (rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
      [h, g, f, e, d, c, b, a] = [g, f, e, (d + one) | 0, c, b, a, (one + two) | 0];
    }
    [a, b, c, d, e, f, g, h].forEach((word, i) => (state[i] += word));
  }
  const out = new Uint8Array(32), words = new DataView(out.buffer);
  state.forEach((word, i) => words.setUint32(4 * i, word));
  return out;
}

function rotated(x: number, by: number): number {
  return (x >>> by) | (x << (32 - by));
}
