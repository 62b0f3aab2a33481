// Examples: programs that imd runs for events.

extension HookList {
    /// As the manual shows it.
    public static var example: Example<Self>? {
        var hook = Hook(name: "notify-desktop", state: .active, reason: nil)
        hook.types = ["message", "presence"]
        (hook.parallel, hook.timeout, hook.attempts) = (1, 30, 5)
        (hook.acknowledged, hook.pending, hook.failed) = (43, 0, 1)
        return Example(Empty(), Result(hooks: [hook]))
    }
}

extension HookTest {
    /// As the manual shows it.
    public static var example: Example<Self>? {
        Example(
            Params(name: "notify-desktop"),
            Result(status: 0, milliseconds: 12, output: "", errors: "", failure: nil))
    }
}

extension HookReplay {
    /// As the manual shows it.
    public static var example: Example<Self>? {
        Example(Params(name: "notify-desktop"), Result(count: 1))
    }
}
