// The declared fields and the Swift types say the same; the golden files say what was published.

import Foundation
import LocalAPI
import Testing

/// One JSON value of a field's type; with `all`, optional members are there and nullable ones not null.
private func sample(_ type: FieldType, all: Bool) -> JSONValue {
    switch type {
    case .string: .string("text ☃")
    case .jid: .string("bob@example.org")
    case .timestamp: .string("2026-11-23T06:43:39.123Z")
    case .integer(let range): .integer(all ? min(range.upperBound, 77) : range.lowerBound)
    case .boolean: .bool(all)
    case .word(let words): .string((all ? words.last : words.first) ?? "")
    case .array(let element):
        all ? .array([sample(element, all: true), sample(element, all: true)]) : .array([])
    case .object(let type): sample(type, all: all)
    case .nullable(let type): all ? sample(type, all: true) : .null
    case .json: ["any": .array([.integer(1), .null])]
    }
}

private func sample(_ type: any Documented.Type, all: Bool) -> JSONValue {
    .object(
        type.fields.filter { all || !$0.isOptional }.map { .init($0.key, sample($0.type, all: all)) })
}

private func documentedTypes() -> [any Documented.Type] {
    func both<M: LocalAPI.Method>(_: M.Type) -> [any Documented.Type] { [M.Params.self, M.Result.self] }
    return allMethods.flatMap { both($0) } + Event.types.map(\.detail)
}

private func file(_ path: String) -> URL {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent(path)
}

/// What clients may rely on in a published description and would not find in a new one: members, methods, words.
private func lost(_ old: JSONValue, _ new: JSONValue, _ path: String = "") -> [String] {
    switch (old, new) {
    case (.object(let members), .object):
        return members.flatMap { member -> [String] in
            let path = "\(path)/\(member.key)"
            guard !["description", "summary", "message", "version", "examples"].contains(member.key) else {
                return []
            }
            return new[member.key].map { lost(member.value, $0, path) } ?? [path]
        }
    case (.array(let before), .array(let now)):
        return before.flatMap { element -> [String] in
            guard let name = element["name"] else {
                return element["data"] != nil || now.contains(element) ? [] : ["\(path): \(element)"]
            }
            let path = "\(path)/\(name.string ?? "")"
            return now.first { $0["name"] == name }.map { lost(element, $0, path) } ?? [path]
        }
    default: return old == new ? [] : [path]
    }
}

/// Compares with a golden file, or writes it when `IMD_UPDATE_GOLDEN` is set.
private func expectGolden(_ text: String, _ path: String) throws {
    if ProcessInfo.processInfo.environment["IMD_UPDATE_GOLDEN"] != nil {
        try text.write(to: file(path), atomically: true, encoding: .utf8)
    }
    let golden = try String(contentsOf: file(path), encoding: .utf8)
    #expect(
        golden == text,
        "\(path) does not match the declarations; IMD_UPDATE_GOLDEN=1 writes it, if that is meant")
}

struct DeclarationTests {
    @Test func `every documented type reads and writes exactly its declared members, in order`() throws {
        func check<T: Documented>(_ type: T.Type) throws {
            for all in [true, false] {
                let json = sample(type, all: all)
                #expect(try JSONValue(encoding: T(json: json)) == json, "\(type)")
            }
        }
        for type in documentedTypes() { try check(type) }
    }

    @Test func `every required member is required by the Swift type, every optional one is not`() throws {
        func check<T: Documented>(_ type: T.Type) {
            for field in type.fields {
                guard case .object(var members) = sample(type, all: true) else { continue }
                members.removeAll { $0.key == field.key }
                let isReadable = (try? T(json: .object(members))) != nil
                if case .nullable = field.type { continue }
                #expect(isReadable == field.isOptional, "\(type).\(field.key)")
            }
        }
        for type in documentedTypes() { check(type) }
    }

    @Test func `every word of an enumeration is understood`() throws {
        func check<T: Documented>(_ type: T.Type) {
            for field in type.fields {
                guard case .word(let words) = field.type, case .object(var members) = sample(type, all: true),
                    let index = members.firstIndex(where: { $0.key == field.key })
                else { continue }
                for word in words {
                    members[index].value = .string(word)
                    #expect(throws: Never.self, "\(type).\(field.key) \(word)") {
                        try T(json: .object(members))
                    }
                }
            }
        }
        for type in documentedTypes() { check(type) }
    }

    @Test func `a wrong type, a missing and an unknown member are named`() throws {
        func check<M: LocalAPI.Method>(_ method: M.Type) {
            let whole = sample(M.Params.self, all: true)
            guard case .object(let members) = whole else { return }
            for (index, field) in M.Params.fields.enumerated() {
                if case .json = field.type { continue }
                var wrong = members
                wrong[index].value = .number(1.5)
                let error = #expect(throws: UserError.self) { try M.Params.check(.object(wrong), in: M.name) }
                #expect(error?.code == .invalidParams)
                #expect(error?.message.contains("\"\(field.key)\"") == true)
                var fewer = members
                fewer.remove(at: index)
                if !field.isOptional {
                    let error = #expect(throws: UserError.self) {
                        try M.Params.check(.object(fewer), in: M.name)
                    }
                    #expect(error?.message == "missing parameter \"\(field.key)\" for \(M.name)")
                }
            }
            let error = #expect(throws: UserError.self) {
                try M.decode(.object(members + [.init("tipo", .null)]))
            }
            #expect(error?.message == "unknown parameter \"tipo\" for \(M.name)")
            #expect(throws: Never.self) { try M.Params.check(whole, in: M.name) }
        }
        for method in allMethods { check(method) }
    }

    @Test func `null is the same as leaving an optional parameter out`() throws {
        let params = try MessageSend.decode(["to": "a@b", "body": "x", "wait": .null])
        #expect(params == .init(to: "a@b", body: "x"))
    }

    @Test func `the sentences are sentences`() throws {
        func check<M: LocalAPI.Method>(_: M.Type) {
            #expect(M.summary.first?.isUppercase == true && M.summary.last != ".", "\(M.name)")
            #expect(M.name.split(separator: ".").count == 2)
        }
        for method in allMethods { check(method) }
        for type in documentedTypes() {
            #expect(Set(type.fields.map(\.key)).count == type.fields.count)
            for field in type.fields {
                #expect(!field.sentence.isEmpty && field.sentence.last != ".", "\(type).\(field.key)")
            }
        }
        func name<M: LocalAPI.Method>(_: M.Type) -> String { M.name }
        #expect(Set(allMethods.map { name($0) }).count == allMethods.count)
    }

    @Test func `every type of event is documented`() {
        #expect(Event.types.map(\.type) == EventType.allCases)
    }

    @Test func `the published description matches the declarations, and loses nothing when it is renewed`()
        throws
    {
        let path = "Tests/LocalAPITests/Golden/api.json"
        let published = try JSONValue(strict: Array(Data(contentsOf: file(path))))
        let current = try JSONValue(strict: Array(OpenRPC.text().utf8))
        // What is not in a release yet may be taken back: restore the released file first.
        let lost = lost(published, current)
        try #require(lost.isEmpty, "published and no longer there: \(lost)")
        try expectGolden(OpenRPC.text(), path)
    }

    @Test func `a member that goes or changes its type is noticed, a new one is not`() {
        let old: JSONValue = ["a": ["type": "string"], "words": .array(["x"])]
        let more: JSONValue = ["a": ["type": "string"], "b": [:], "words": .array(["y", "x"])]
        #expect(lost(old, more).isEmpty)
        #expect(lost(more, old).count == 2)
        #expect(lost(old, ["a": ["type": "integer"], "words": .array(["x"])]) == ["/a/type"])
    }

    @Test func `the manual matches the declarations`() throws {
        try expectGolden(ManPage.render(), "man/imd-api.5")
        try expectGolden(ReferencePage.render(), "docs/API.md")
    }
}

struct ExampleTests {
    @Test func `every method has an example that says what its declaration allows`() throws {
        func check<M: LocalAPI.Method>(_: M.Type) throws {
            let example = try #require(M.example, "\(M.name)")
            let (params, result) = try example.json()
            #expect(throws: Never.self, "\(M.name)") { try M.decode(params) }
            #expect(throws: Never.self, "\(M.name)") { try M.Result.check(result, in: M.name) }
            #expect(try JSONValue(encoding: M.Params(json: params)) == params, "\(M.name)")
            #expect(try JSONValue(encoding: M.Result(json: result)) == result, "\(M.name)")
            let request = try Request(line: Array(example.request().utf8))
            #expect(request == Request(id: .integer(1), method: M.name, params: params))
            let answer = try Incoming(line: Array(example.answer().utf8))
            #expect(answer == .response(.integer(1), .success(result)))
        }
        for method in allMethods { try check(method) }
    }

    @Test func `every type of event has one example that says what its declaration allows`() throws {
        #expect(Event.examples.map(\.detail.type) == EventType.allCases)
        for (event, type) in zip(Event.examples, Event.types) {
            guard case .notification("event", let params) = try Incoming(line: event.line()) else {
                return #expect(Bool(false), "\(type.type)")
            }
            #expect(try Event(json: params) == event)
            let fields = Set(Event.commonFields.map(\.key) + type.detail.fields.map(\.key))
            guard case .object(let members) = params else { return #expect(Bool(false)) }
            #expect(members.allSatisfy { fields.contains($0.key) }, "\(type.type)")
            #expect(type.detail.fields.allSatisfy { $0.isOptional || params[$0.key] != nil }, "\(type.type)")
        }
    }
}
