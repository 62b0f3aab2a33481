/// Why an element could not be read as what it should be; names the part at fault, never its content.
public enum CodecError: Error, Equatable, Sendable {
    /// An element, attribute or text that must be there is not.
    case missing(String)
    /// It is there, but not what the specification allows.
    case invalid(String)
    /// A different element, or one that the acceptance rules refuse.
    case unexpected(String)
}
