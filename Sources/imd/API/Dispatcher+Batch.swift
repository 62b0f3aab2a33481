// Several requests on one line: begun in order like those of several lines, answered together.
import LocalAPI
import Synchronization

extension Dispatcher {
    /// How many requests of one batch may be begun and not done.
    private static let concurrency = 128

    /// Each request begins when the one before it is done, or has passed its turn; the batch passes its own with
    /// the last of them.
    ///
    /// Nothing is undone: so what makes the answer too long is answered, and what follows is not begun.
    ///
    /// - Returns: the answers in the order of the requests, as a line; nil where all are notifications.
    func answer(_ requests: [Result<Request, Refusal>], _ call: Call) async -> [UInt8]? {
        let size = AnswerSize()
        let answers = await withTaskGroup(of: (Int, [UInt8]?).self) { group in
            var answers = [[UInt8]?](repeating: nil, count: requests.count)
            var free = Self.concurrency
            for (index, request) in requests.enumerated() {
                if free == 0, let (done, answer) = await group.next() {
                    answers[done] = answer
                    free += 1
                }
                guard size.total <= maxBatchAnswerLength else {
                    answers[index] = Self.notBegun(request)
                    continue
                }
                let turn = Turn()
                free -= 1
                group.addTask {
                    defer { turn.pass() }
                    let answer = await self.answer(request, call.within(turn))
                    size.add(answer)
                    return (index, answer)
                }
                await turn.isPassed()
            }
            call.turn.pass()
            for await (done, answer) in group { answers[done] = answer }
            return answers
        }
        return Response.batch(answers.compactMap { $0 })
    }

    private func answer(_ request: Result<Request, Refusal>, _ call: Call) async -> [UInt8]? {
        switch request {
        case .success(let request): await answer(request, call)
        case .failure(let refusal): refusal.line
        }
    }

    private static func notBegun(_ request: Result<Request, Refusal>) -> [UInt8]? {
        switch request {
        case .success(let request): request.id.map { Response.notBegun($0) }
        case .failure(let refusal): refusal.line
        }
    }
}

/// How long the answers of a batch are so far, in bytes.
private final class AnswerSize: Sendable {
    private let bytes = Mutex(0)

    var total: Int { bytes.withLock { $0 } }

    func add(_ answer: [UInt8]?) { bytes.withLock { $0 += answer?.count ?? 0 } }
}
