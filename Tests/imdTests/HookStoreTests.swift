// What the hooks write to the store.
import Foundation
import LocalAPI
import Store
import Testing

@testable import imd

struct HookStoreTests {
    @Test func `a hook that fails at an event whose account was removed is told of without the account`()
        async throws
    {
        let party = try await Party("alice@example.org")
        let account = party.own.account
        let event = HookSchedule.Event(number: 1, account: account, text: "{}", attempts: 1)
        var record = HookSchedule.Record(hook: "a", acknowledge: 1)
        record.put = [HookSchedule.Letter(event: event, reason: "exit status 1", retryAt: nil)]
        record.dead = true
        let (waiting, errors) = try await party.write { [record] tx in
            let detail = EventDetail.presence(PresenceDetail(from: "b@c.example", show: .away))
            try tx.append(detail, account: nil, chat: nil, now: 1)
            try tx.createConsumer("hook:a", at: 0, now: 1)
            try tx.removeAccount(account)
            let waiting = try tx.write(record, now: 2)
            return (waiting, try tx.events(after: 0, limit: 9).filter { $0.type == "error" })
        }
        #expect(waiting == HookSchedule.Waiting())
        #expect(errors.count == 1 && errors.first?.account == nil)
        #expect(try await party.store.read { try $0.consumer("hook:a")?.acknowledged } == 1)
    }
}
