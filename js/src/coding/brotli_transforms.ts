/** Words of Brotli's static dictionary, and their transforms (RFC 7932, section 8 and appendix B). */

/** Lengths of words. */
export const MIN_WORD = 4, MAX_WORD = 24;

/** Bits of the number of words, by their length. */
const WORD_BITS = [0, 0, 0, 0, 10, 10, 11, 11, 10, 10, 10, 10, 10, 9, 9, 8, 7, 7, 8, 7, 7, 6, 6, 5, 5];

/**
 * Prefix, change and suffix. Changes are = (none), ^ (first letter in upper case), * (all letters), and + or - with the
 * number of bytes that are left out at the beginning or the end.
 */
const TRANSFORMS: readonly (readonly [prefix: string, change: string, suffix: string])[] = [
  ["", "=", ""], ["", "=", " "], [" ", "=", " "], ["", "+1", ""], ["", "^", " "], ["", "=", " the "], [" ", "=", ""],
  ["s ", "=", " "], ["", "=", " of "], ["", "^", ""], ["", "=", " and "], ["", "+2", ""], ["", "-1", ""],
  [", ", "=", " "], ["", "=", ", "], [" ", "^", " "], ["", "=", " in "], ["", "=", " to "], ["e ", "=", " "],
  ["", "=", "\""], ["", "=", "."], ["", "=", "\">"], ["", "=", "\n"], ["", "-3", ""], ["", "=", "]"],
  ["", "=", " for "], ["", "+3", ""], ["", "-2", ""], ["", "=", " a "], ["", "=", " that "], [" ", "^", ""],
  ["", "=", ". "], [".", "=", ""], [" ", "=", ", "], ["", "+4", ""], ["", "=", " with "], ["", "=", "'"],
  ["", "=", " from "], ["", "=", " by "], ["", "+5", ""], ["", "+6", ""], [" the ", "=", ""], ["", "-4", ""],
  ["", "=", ". The "], ["", "*", ""], ["", "=", " on "], ["", "=", " as "], ["", "=", " is "], ["", "-7", ""],
  ["", "-1", "ing "], ["", "=", "\n\t"], ["", "=", ":"], [" ", "=", ". "], ["", "=", "ed "], ["", "+9", ""],
  ["", "+7", ""], ["", "-6", ""], ["", "=", "("], ["", "^", ", "], ["", "-8", ""], ["", "=", " at "], ["", "=", "ly "],
  [" the ", "=", " of "], ["", "-5", ""], ["", "-9", ""], [" ", "^", ", "], ["", "^", "\""], [".", "=", "("],
  ["", "*", " "], ["", "^", "\">"], ["", "=", "=\""], [" ", "=", "."], [".com/", "=", ""], [" the ", "=", " of the "],
  ["", "^", "'"], ["", "=", ". This "], ["", "=", ","], [".", "=", " "], ["", "^", "("], ["", "^", "."],
  ["", "=", " not "], [" ", "=", "=\""], ["", "=", "er "], [" ", "*", " "], ["", "=", "al "], [" ", "*", ""],
  ["", "=", "='"], ["", "*", "\""], ["", "^", ". "], [" ", "=", "("], ["", "=", "ful "], [" ", "^", ". "],
  ["", "=", "ive "], ["", "=", "less "], ["", "*", "'"], ["", "=", "est "], [" ", "^", "."], ["", "*", "\">"],
  [" ", "=", "='"], ["", "^", ","], ["", "=", "ize "], ["", "*", "."], ["\u00c2\u00a0", "=", ""], [" ", "=", ","],
  ["", "^", "=\""], ["", "*", "=\""], ["", "=", "ous "], ["", "*", ", "], ["", "^", "='"], [" ", "^", ","],
  [" ", "*", "=\""], [" ", "*", ", "], ["", "*", ","], ["", "*", "("], ["", "*", ". "], [" ", "*", "."],
  ["", "*", "='"], [" ", "*", ". "], [" ", "^", "=\""], [" ", "*", "='"], [" ", "^", "='"],
];

/** Whether there is such a transformed word of a length. */
export function isWord(size: number, number: number): boolean {
  return number >> WORD_BITS[size] < TRANSFORMS.length;
}

/** The bytes of a transformed word, from the words of all lengths. */
export function writeWord(words: Uint8Array, size: number, number: number): Uint8Array {
  const bits = WORD_BITS[size], [prefix, change, suffix] = TRANSFORMS[number >> bits];
  let start = size * (number & (2 ** bits - 1));
  for (let shorter = MIN_WORD; shorter < size; shorter++) start += shorter * 2 ** WORD_BITS[shorter];
  const omitted = Math.min(Number(change.slice(1)), size);
  const word = words.slice(start + (change[0] === "+" ? omitted : 0), start + size - (change[0] === "-" ? omitted : 0));
  if (change === "^") capitalise(word, 0);
  if (change === "*") for (let at = 0; at < word.length; ) at += capitalise(word, at);
  return Uint8Array.from([...bytesOf(prefix), ...word, ...bytesOf(suffix)]);
}

/** Puts a character of one to three bytes into upper case, after Brotli's idea of it; returns its bytes. */
function capitalise(word: Uint8Array, at: number): number {
  const first = word[at];
  if (first < 0xc0) {
    if (first >= 97 && first <= 122) word[at] ^= 32;
    return 1;
  }
  const last = first < 0xe0 ? 1 : 2;
  if (at + last < word.length) word[at + last] ^= last === 1 ? 32 : 5;
  return last + 1;
}

function bytesOf(text: string): number[] {
  return Array.from(text, (character) => character.charCodeAt(0));
}
