/** The counter-based generator Philox4x64-10 (docs/format.md, section 7.1) on 32-bit halves, the low one first. */

const ROUNDS = 10;

/** Makes blocks of four words of 64 bits under a key. */
export class Philox {
  /** The last block. */
  readonly words = new Uint32Array(8);
  private readonly first = new Uint32Array(4);
  private readonly second = new Uint32Array(4);
  private readonly keys = new Uint32Array(4 * ROUNDS);

  constructor(key0: bigint, key1: bigint) {
    const halves = new BigUint64Array(this.keys.buffer);
    for (let round = 0; round < ROUNDS; round++) {
      halves[2 * round] = key0 + BigInt(round) * 0x9e3779b97f4a7c15n;
      halves[2 * round + 1] = key1 + BigInt(round) * 0xbb67ae8584caa73bn;
    }
  }

  /** Makes the block of the counter (count, 0, 0, 0), count < 2^53. */
  block(count: number): Uint32Array {
    const { words, keys, first, second } = this;
    words.fill(0);
    words[0] = count;
    words[1] = count / 2 ** 32;
    for (let at = 0; at < keys.length; at += 4) {
      multiply(0xe14c6c93, 0xd2e7470e, words[0], words[1], first);
      multiply(0x95121157, 0xca5a8263, words[4], words[5], second);
      words[0] = second[2] ^ words[2] ^ keys[at];
      words[1] = second[3] ^ words[3] ^ keys[at + 1];
      words[2] = second[0];
      words[3] = second[1];
      words[4] = first[2] ^ words[6] ^ keys[at + 2];
      words[5] = first[3] ^ words[7] ^ keys[at + 3];
      words[6] = first[0];
      words[7] = first[1];
    }
    return words;
  }
}

/** The product of a + 2^32 b and c + 2^32 d, as four halves. */
function multiply(a: number, b: number, c: number, d: number, product: Uint32Array): void {
  const middle = highOf(a, c) + (Math.imul(a, d) >>> 0) + (Math.imul(b, c) >>> 0);
  const upper = highOf(a, d) + highOf(b, c) + (Math.imul(b, d) >>> 0) + Math.floor(middle / 2 ** 32);
  product[0] = Math.imul(a, c);
  product[1] = middle;
  product[2] = upper;
  product[3] = highOf(b, d) + Math.floor(upper / 2 ** 32);
}

/** The upper 32 bits of the product of two integers of 32 bits. */
function highOf(a: number, b: number): number {
  const lowA = a & 0xffff, highA = a >>> 16, lowB = b & 0xffff, highB = b >>> 16;
  const first = highA * lowB + ((lowA * lowB) >>> 16), second = lowA * highB + (first & 0xffff);
  return highA * highB + (first >>> 16) + (second >>> 16);
}
