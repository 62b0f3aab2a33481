// Several requests on one line, and their answers on one (JSON-RPC 2.0 §6).

/// What one line asks for.
public enum RequestLine: Equatable, Sendable {
    /// One request.
    case single(Request)
    /// Requests that are answered together; each may be none for itself.
    case batch([Result<Request, Refusal>])

    /// Reads one line.
    ///
    /// - Throws: a refusal of the line as a whole, to be answered; the connection lives.
    public init(_ line: [UInt8]) throws(Refusal) {
        let json = try Refusal.json(of: line)
        guard case .array(let elements) = json else {
            self = .single(try Request(json: json))
            return
        }
        guard !elements.isEmpty else {
            throw Refusal(id: .null, error: UserError(.badRequest, "a batch needs at least one request"))
        }
        guard elements.count <= maxBatchLength else {
            throw Refusal(
                id: .null,
                error: UserError(
                    .tooLarge, "a batch of \(elements.count) requests; at most \(maxBatchLength) are taken",
                    hint: "none was carried out; send several batches"))
        }
        self = .batch(
            elements.map { element in
                do throws(Refusal) {
                    return .success(try Request(json: element))
                } catch {
                    return .failure(error)
                }
            })
    }
}

/// How many requests one batch may have.
public let maxBatchLength = 1000

/// Once the answers of a batch are longer together, in bytes, the requests that follow are not begun.
public let maxBatchAnswerLength = 4_194_304

extension Response {
    /// The line for the answers of a batch, line feed included.
    ///
    /// - Parameter answers: lines, as `success` and `failure` write them.
    /// - Returns: nil where there are none: then nothing is sent at all.
    public static func batch(_ answers: [[UInt8]]) -> [UInt8]? {
        guard !answers.isEmpty else { return nil }
        var line: [UInt8] = []
        line.reserveCapacity(answers.reduce(2) { $0 + $1.count })
        for answer in answers {
            line.append(line.isEmpty ? UInt8(ascii: "[") : UInt8(ascii: ","))
            line += answer.dropLast()
        }
        line += "]\n".utf8
        return line
    }

    /// The answer to a request of a batch that was not begun, line feed included.
    public static func notBegun(_ id: RequestID) -> [UInt8] {
        failure(
            id,
            UserError(
                .tooLarge,
                "not carried out: the answers of this batch are longer than \(maxBatchAnswerLength) bytes",
                hint: "ask for less at once"))
    }
}
