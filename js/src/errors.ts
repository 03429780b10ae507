/** The errors of this package, all derived from `SinrError`; their names are those of docs/format.md, section 8. */

export class SinrError extends Error {
  override get name(): string {
    return this.constructor.name;
  }
}

/** An argument that cannot be used as asked. */
export class InputError extends SinrError {}

/** A `.sinr` file that breaks the format; subclasses tell how. */
export class FormatError extends SinrError {}

/** The magic bytes are not those of a `.sinr` file. */
export class NotSinrError extends FormatError {}

/** The file was written in a format version that this reader does not know. */
export class VersionError extends FormatError {}

/** The file is shorter than its header declares. */
export class TruncatedError extends FormatError {}

/** A CRC-32 does not match: the bytes were changed after writing. */
export class ChecksumError extends FormatError {}

/** The bytes break an invariant of the format: lengths, types, ranges or trailing bytes. */
export class MalformedError extends FormatError {}

/** The file declares more than this reader is willing to allocate or compute. */
export class LimitError extends FormatError {}

/** The file uses a field, signal or coder id that this reader does not know. */
export class UnknownIdError extends FormatError {}

/** The caller asked for an end. */
export class CancelledError extends SinrError {}
