/** Files that every reader must refuse, and how (docs/format.md, section 10). */

import { beforeAll, describe, expect, it } from "vitest";
import { loadBrotli } from "../src/coding/inflate";
import { open } from "../src/decoding";
import { FormatError } from "../src/errors";
import { bytesOf, jsonOf } from "./conformance";

const TABLE = jsonOf<{ error: string; wrong: string }>("malformed/malformed.json");

beforeAll(loadBrotli);

describe("malformed files", () => {
  it.each(Object.keys(TABLE))("%s is refused", (name) => {
    let found: unknown;
    try {
      const file = open(bytesOf(`malformed/${name}.sinr`));
      if (file.kind === "state" || file.kind === "base") file.weights();
      else file.render();
    } catch (error) {
      found = error;
    }
    expect(found, TABLE[name].wrong).toBeInstanceOf(FormatError);
    const { name: kind, message } = found as FormatError;
    expect(kind, message).toBe(TABLE[name].error);
    expect(message).not.toContain("\n");
  });
});
