// The stanzas of one stream that the server has not taken responsibility for, and what each carries.

/// A value; positions are counted from the beginning of the stream.
struct Unacknowledged {
    /// Rows of the outbox, oldest first; nil for stanzas that need not survive.
    private var rows: ArraySlice<Int64?> = []
    private(set) var acknowledged = 0

    /// How many stanzas were sent on this stream.
    var sent: Int { acknowledged + rows.count }
    var count: Int { rows.count }

    mutating func append(contentsOf more: some Sequence<Int64?>) { rows.append(contentsOf: more) }

    /// - Returns: the outbox rows among the oldest `count`, which are forgotten here.
    mutating func acknowledge(_ count: Int) -> [Int64] {
        let count = min(count, rows.count)
        let done = rows.prefix(count).compactMap(\.self)
        rows.removeFirst(count)
        acknowledged += count
        return done
    }
}
