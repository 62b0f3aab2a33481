// XEP-0082 dates, and what hostile ones do to a message's time (row A13).

import Foundation
import Testing

@testable import XMPP

@Suite struct DateTimeTests {
    @Test(arguments: [
        ("1970-01-01T00:00:00Z", 0),
        ("1969-07-21T02:56:15Z", -14_159_025_000),  // XEP-0082, example 1
        ("1969-07-20T21:56:15-05:00", -14_159_025_000),
        ("2002-09-10T23:08:25Z", 1_031_699_305_000),  // XEP-0203, example 1
        ("2002-09-10T23:08:25.1Z", 1_031_699_305_100),
        ("2002-09-10T23:08:25.123Z", 1_031_699_305_123),
        ("2002-09-10T23:08:25.123999Z", 1_031_699_305_123),
        ("2002-09-10T23:08:25.123456789012345678901234567890Z", 1_031_699_305_123),
        ("2002-09-11T01:08:25.5+02:00", 1_031_699_305_500),
        ("2000-02-29T00:00:00Z", 951_782_400_000),
        ("2000-03-01T00:00:00Z", 951_868_800_000),
        ("2016-12-31T23:59:60Z", 1_483_228_800_000),  // a leap second
        ("9999-12-31T23:59:59Z", 253_402_300_799_000),
        ("0000-01-01T00:00:00Z", -62_167_219_200_000),
        ("2002-09-10T23:08:25-00:00", 1_031_699_305_000),
    ])
    func `a date is read`(_ text: String, milliseconds: Int64) {
        #expect(DateTime.parse(text) == milliseconds)
    }

    @Test(arguments: [
        "", "NaN", "-1", "1031699305", "2002-09-10", "20020910T23:08:25", "2002-09-10T23:08:25",
        "2002-09-10 23:08:25Z", "2002-09-10T23:08:25z", "2002-09-10T23:08:25.Z", "2002-09-10T23:08:25,5Z",
        "2002-09-10T23:08Z", "2002-13-10T23:08:25Z", "2002-00-10T23:08:25Z", "2002-09-31T23:08:25Z",
        "2002-09-00T23:08:25Z", "2001-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2002-09-10T24:00:00Z",
        "2002-09-10T23:60:25Z", "2002-09-10T23:08:61Z", "2002-09-10T23:08:60Z", "2002-09-10T23:08:25+24:00",
        "2002-09-10T23:08:25+02:60", "2002-09-10T23:08:25+0200", "2002-09-10T23:08:25+02",
        "-002-09-10T23:08:25Z",
        "12002-09-10T23:08:25Z", "2002-09-10T23:08:25ZZ", " 2002-09-10T23:08:25Z",
        "2002-09-1\u{660}T23:08:25Z",
        "2002-09-10T23:08:25." + String(repeating: "1", count: 10_000) + "Z",
    ])
    func `what is not a date is not read`(_ text: String) {
        #expect(DateTime.parse(text) == nil)
    }

    @Test func `a date is written in UTC with milliseconds`() {
        #expect(DateTime.format(1_031_699_305_000) == "2002-09-10T23:08:25.000Z")
        #expect(DateTime.format(0) == "1970-01-01T00:00:00.000Z")
        #expect(DateTime.format(-1) == "1969-12-31T23:59:59.999Z")
        #expect(DateTime.format(.min) == "0000-01-01T00:00:00.000Z")
        #expect(DateTime.format(.max) == "9999-12-31T23:59:59.999Z")
    }

    @Test(arguments: 0..<50)
    func `dates agree with the calendar of Foundation`(_ seed: Int) throws {
        var random = Seeded(seed)
        let style = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
        for _ in 0..<20 {
            let milliseconds = Int64.random(in: -5_000_000_000_000...200_000_000_000_000, using: &random)
            let text = DateTime.format(milliseconds)
            #expect(DateTime.parse(text) == milliseconds)
            let date = try Date(text, strategy: style)
            #expect(Int64((date.timeIntervalSince1970 * 1000).rounded()) == milliseconds)
        }
    }
}

@Suite struct DelayedDeliveryTests {
    let now: Int64 = 1_700_000_000_000

    private func sentAt(_ delays: String) throws -> Int64 {
        let message = try parsed("<message from='coven@macbeth.shakespeare.lit'>\(delays)</message>")
        return DelayedDelivery.sentAt(
            message, by: [try JID("capulet.com"), try JID("juliet@capulet.com")], receivedAt: now)
    }

    @Test func `the server's delay counts`() throws {
        #expect(
            try sentAt(
                "<delay xmlns='urn:xmpp:delay' from='capulet.com' stamp='2002-09-10T23:08:25Z'>Offline</delay>"
            )
                == 1_031_699_305_000)
    }

    @Test(arguments: [
        "9999-12-31T23:59:59Z", "-1", "NaN", "1970-01-01T00:00:00Z", "0000-00-00T00:00:00Z", "",
        "2023-11-14T22:13:20.001Z", "1998-12-31T23:59:59Z",
    ])
    func `an impossible date becomes the time of receipt`(_ stamp: String) throws {
        #expect(try sentAt("<delay xmlns='urn:xmpp:delay' from='capulet.com' stamp='\(stamp)'/>") == now)
        let forwarded = try parsed(
            "<forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='\(stamp)'/></forwarded>"
        )
        #expect(DelayedDelivery.sentAt(inside: forwarded, receivedAt: now) == now)
    }

    @Test func `a delay that the sender wrote does not count`() throws {
        let stamp = "stamp='2002-09-10T23:08:25Z'"
        #expect(try sentAt("") == now)
        #expect(try sentAt("<delay xmlns='urn:xmpp:delay'/>") == now)
        #expect(try sentAt("<delay xmlns='urn:xmpp:delay' \(stamp)/>") == now)
        #expect(try sentAt("<delay xmlns='urn:xmpp:delay' from='evil.com' \(stamp)/>") == now)
        #expect(
            try sentAt(
                "<delay xmlns='urn:xmpp:delay' from='evil.com' stamp='1999-09-10T23:08:25Z'/>"
                    + "<delay xmlns='urn:xmpp:delay' from='capulet.com' \(stamp)/>") == 1_031_699_305_000)
    }

    @Test func `a delay of our own is read by others`() throws {
        let element = DelayedDelivery.element(from: try JID("capulet.com"), at: 1_031_699_305_000)
        #expect(
            String(decoding: element.xml(), as: UTF8.self)
                == "<delay xmlns='urn:xmpp:delay' from='capulet.com' stamp='2002-09-10T23:08:25.000Z'/>")
    }
}
