// Sends every message back to whoever sent it: a bot in Swift on LocalAPI. Runs beside imd until it is ended.
import Foundation
import LocalAPI

do {
    let imd = try AsyncClient()
    // A name gives the bot a durable place: what comes while it is down, or while it fails, waits for it.
    for try await event in imd.events(consumer: "imd-echo", types: [.message], patience: nil) {
        // No answer to messages of our own, and none to what came without encryption.
        guard case .message(let message)? = event.detail, message.direction == .in, message.encryption != nil
        else { continue }
        // The id makes it safe to do again. Should the bot end here, the event comes back and nothing is sent twice.
        _ = try await imd.call(
            MessageSend.self,
            .init(
                to: message.chat, body: message.body, account: message.account, id: "imd-echo-\(event.number)"
            ),
            patience: .seconds(60))
        // Asking for the next event acknowledges this one.
    }
} catch let error as UserError {
    let hint = error.hint.map { "\nimd-echo: hint: \($0)" } ?? ""
    FileHandle.standardError.write(Data("imd-echo: error: \(error.message)\(hint)\n".utf8))
    exit(error.code.exitCode)
}
