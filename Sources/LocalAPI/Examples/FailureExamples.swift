// Examples: events that a consumer failed at.

extension FailureAdd {
    /// As the manual shows it.
    public static var example: Example<Self>? {
        Example(
            Params(consumer: Scene.consumer.name, number: 42, attempts: 3, reason: "exit status 1"), Empty())
    }
}

extension FailureList {
    /// As the manual shows it.
    public static var example: Example<Self>? {
        let failure = Failure(
            consumer: Scene.consumer.name, number: 42, attempts: 3, reason: "exit status 1", at: Scene.at(41),
            retryAt: nil,
            event: [
                "number": .integer(42), "type": "state", "account": .string(Scene.alice),
                "at": .string(Scene.at(40).description), "chat": .string(Scene.bob),
                "id": .string(Scene.sent.id),
                "state": "delivered",
            ])
        return Example(Params(consumer: Scene.consumer.name), Result(failures: [failure]))
    }
}

extension FailureRemove {
    /// As the manual shows it.
    public static var example: Example<Self>? {
        Example(Params(consumer: Scene.consumer.name, number: 42), Empty())
    }
}
