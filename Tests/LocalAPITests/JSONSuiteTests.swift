// Rows D45 and F13: JSONTestSuite (Nicolas Seriot), and requests with random damage.

import Foundation
import LocalAPI
import Testing

/// One file of the suite: y_ must be accepted, n_ refused, i_ is open.
private struct Sample: Decodable, CustomTestStringConvertible {
    var name: String
    var text: String?
    var base64: Data?
    /// A text and how often it is repeated.
    var `repeat`: Repetition?
    var then: String?

    struct Repetition: Decodable {
        var bytes: [UInt8]

        init(from decoder: any Decoder) throws {
            var list = try decoder.unkeyedContainer()
            let text = Array(try list.decode(String.self).utf8)
            bytes = Array(repeatElement(text, count: try list.decode(Int.self)).joined())
        }
    }

    var testDescription: String { name }

    var bytes: [UInt8] {
        if let `repeat` { return `repeat`.bytes + Array((then ?? "").utf8) }
        return base64.map { Array($0) } ?? Array((text ?? "").utf8)
    }

    var isAccepted: Bool { (try? JSONValue(strict: bytes)) != nil }

    static let all: [Sample] = {
        struct File: Decodable { var files: [Sample] }
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("Vectors/json-test-suite.json")
        let decoded = try? JSONDecoder().decode(File.self, from: Data(contentsOf: file))
        return decoded?.files ?? []
    }()

    static func named(_ prefix: String) -> [Sample] { all.filter { $0.name.hasPrefix(prefix) } }
}

struct JSONSuiteTests {
    /// Later editions of the suite call these i_: numbers beyond a double, and text that is not UTF-8.
    private static let laterOpen: Set = [
        "y_number_huge_exp", "y_number_neg_int_huge_exp", "y_number_pos_double_huge_exp",
        "y_number_real_neg_overflow", "y_number_real_pos_overflow", "y_string_utf16BE_no_BOM",
        "y_string_utf16LE_no_BOM",
    ]

    @Test func `row F13: all 95 y files are accepted but the two with a key twice`() {
        let valid = Sample.named("y_").filter { !Self.laterOpen.contains($0.name) }
        #expect(valid.count == 95)
        let refused = valid.filter { !$0.isAccepted }.map(\.name)
        #expect(refused == ["y_object_duplicated_key", "y_object_duplicated_key_and_value"])
    }

    @Test func `row F13: every n file is refused`() {
        let invalid = Sample.named("n_")
        #expect(invalid.count == 179)
        #expect(invalid.filter { $0.isAccepted }.map(\.name) == [])
    }

    @Test func `of the open files only those with non-characters are accepted`() {
        let open = Sample.all.filter { $0.name.hasPrefix("i_") || Self.laterOpen.contains($0.name) }
        #expect(open.count == 27)
        let accepted = open.filter { $0.isAccepted }.map(\.name)
        #expect(accepted.allSatisfy { $0.hasSuffix("nonchar") } && accepted.count == 4, "\(accepted)")
    }

    @Test func `what is accepted writes and reads back alike`() throws {
        for sample in Sample.all {
            guard let value = try? JSONValue(strict: sample.bytes) else { continue }
            #expect(try JSONValue(strict: value.serialized()) == value, "\(sample.name)")
        }
    }

    /// Deterministic: a failure can be repeated.
    private struct Random: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state &+= 0x9e37_79b9_7f4a_7c15
            var z = state
            z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
            z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
            return z ^ (z >> 31)
        }
    }

    private static let pieces: [[UInt8]] =
        [
            "{", "}", "[", "]", ",", ":", "\"", "\\", "\\ud800", "\\u0000", "\"id\":1,", "1e400", "-", "1.5",
            "null", "[[",
            "{\"a\":", " ", "\u{0}", "9223372036854775808",
        ].map { Array($0.utf8) } + [[0xff], [0xc3], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80]]

    private static func damaged(_ line: [UInt8], _ random: inout Random) -> [UInt8] {
        var line = line
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            let place = Int.random(in: 0...line.count, using: &random)
            switch Int.random(in: 0...3, using: &random) {
            case 0: line.insert(contentsOf: pieces.randomElement(using: &random) ?? [], at: place)
            case 1 where place < line.count: line[place] = UInt8.random(in: 0...255, using: &random)
            case 2 where place < line.count:
                line.removeSubrange(place..<min(line.count, place + Int.random(in: 1...8, using: &random)))
            default:
                let end = min(line.count, place + Int.random(in: 1...40, using: &random))
                line.insert(contentsOf: line[place..<end], at: Int.random(in: 0...line.count, using: &random))
            }
        }
        return line
    }

    /// Damaged forms of each request.
    private static let repetitions =
        ProcessInfo.processInfo.environment["IMD_TORTURE"] == nil ? 400 : 100_000

    @Test func `row F13: requests with random damage are read or refused, never a trap`() throws {
        var lines: [[UInt8]] = []
        func add<M: LocalAPI.Method>(_: M.Type) throws {
            if let request = try M.example?.request() { lines.append(Array(request.utf8)) }
        }
        for method in allMethods { try add(method) }
        lines.append(Array("[".utf8) + Array(lines.prefix(3).joined(separator: [0x2c])) + Array("]".utf8))
        var random = Random(state: 45)
        var accepted = 0
        for line in lines {
            for _ in 0..<Self.repetitions {
                let line = Self.damaged(line, &random)
                guard let value = try? JSONValue(strict: line) else {
                    let refusal = #expect(throws: Refusal.self) { try RequestLine(line) }
                    #expect(refusal?.error.code == .badJSON)
                    continue
                }
                accepted += 1
                #expect(try JSONValue(strict: value.serialized()) == value)
                guard let request = try? RequestLine(line), case .single(let request) = request else {
                    continue
                }
                for method in allMethods where name(method) == request.method {
                    decode(method, request.params)
                }
            }
        }
        #expect(accepted > 100, "some damage is no damage to JSON")
    }

    private func name<M: LocalAPI.Method>(_: M.Type) -> String { M.name }

    private func decode<M: LocalAPI.Method>(_: M.Type, _ params: JSONValue) { _ = try? M.decode(params) }
}
