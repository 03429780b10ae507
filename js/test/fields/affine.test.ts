import { expect, test } from "vitest";
import { affine, plainAffine } from "../../src/fields/affine";

test.each([[1, 1, 1], [2, 3, 4], [5, 7, 9], [33, 64, 16], [512, 20, 31]])("%i rows, %i inputs, %i outputs", (count, inputs, outputs) => {
  let seed = 1;
  const integers = (length: number) => Float64Array.from({ length }, () => (seed = (seed * 48271) % 2147483647) % 2001 - 1000);
  const layer = { inputs, outputs, weight: integers(inputs * outputs), bias: integers(outputs) }, x = integers(count * inputs);
  const [vectors, plain] = [new Float64Array(count * outputs), new Float64Array(count * outputs)];
  affine(x, count, layer, vectors);
  plainAffine(x, count, layer, plain);
  expect(vectors).toEqual(plain);
  expect(plain.some((sum) => sum !== 0)).toBe(true);
});
