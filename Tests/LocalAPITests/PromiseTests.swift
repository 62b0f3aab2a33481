// What was promised to clients stays true: Golden/promise.txt lists it, and grows.

import Foundation
import LocalAPI
import Testing

/// One line of the promise: a method, a parameter, a member of a result or event, or an error code.
private struct Promise: Equatable {
    /// method, param, result, event or error.
    var kind: String
    /// `account.add.jid`, `account.list.accounts[].state`.
    var path: String
    /// `string`, `word(a,b)`, `array<integer(0...5)>`.
    var type: String
    /// required or optional; always or sometimes.
    var necessity: String

    var line: String { "\(kind) \(path) \(type) \(necessity)" }

    init(_ kind: String, _ path: String, _ type: String = "-", _ necessity: String = "-") {
        (self.kind, self.path, self.type, self.necessity) = (kind, path, type, necessity)
    }

    init?(line: Substring) {
        let columns = line.split(separator: " ").map(String.init)
        guard columns.count == 4 else { return nil }
        self.init(columns[0], columns[1], columns[2], columns[3])
    }
}

/// Everything that the declarations promise now.
private func promises() -> [Promise] {
    var all: [Promise] = []
    func add(_ fields: [Field], _ kind: String, _ path: String) {
        let words = kind == "param" ? ("required", "optional") : ("always", "sometimes")
        for field in fields {
            let path = "\(path).\(field.key)"
            all.append(Promise(kind, path, name(field.type), field.isOptional ? words.1 : words.0))
            if let (type, suffix) = object(in: field.type) { add(type.fields, kind, path + suffix) }
        }
    }
    func add<M: LocalAPI.Method>(_: M.Type) {
        all.append(Promise("method", M.name))
        add(M.Params.fields, "param", M.name)
        add(M.Result.fields, "result", M.name)
    }
    for method in allMethods { add(method) }
    for (type, _, detail) in Event.types {
        all.append(Promise("event", type.rawValue))
        let own = detail.fields.filter { own in !Event.commonFields.contains { $0.key == own.key } }
        add(Event.commonFields + own, "event", type.rawValue)
    }
    for code in ErrorCode.allCases {
        all.append(Promise("error", code.rawValue, "\(code.rpcCode)", "\(code.exitCode)"))
    }
    return all
}

private func name(_ type: FieldType) -> String {
    switch type {
    case .word(let words): "word(\(words.joined(separator: ",")))"
    case .integer(let range): "integer(\(range.lowerBound)...\(range.upperBound))"
    case .array(let element): "array<\(name(element))>"
    case .nullable(let type): "nullable<\(name(type))>"
    default: type.name.replacing(" ", with: "-")
    }
}

private func object(in type: FieldType) -> (any Documented.Type, String)? {
    switch type {
    case .object(let type): (type, "")
    case .array(let element): object(in: element).map { ($0.0, "[]" + $0.1) }
    case .nullable(let type): object(in: type)
    default: nil
    }
}

/// What clients may rely on by `old` and would not find in `new`.
private func broken(_ old: [Promise], _ new: [Promise]) -> [String] {
    func index(_ list: [Promise]) -> [String: Promise] {
        Dictionary(list.map { ("\($0.kind) \($0.path)", $0) }) { first, _ in first }
    }
    let (known, current) = (index(old), index(new))
    let gone = old.compactMap { promise -> String? in
        guard let now = current["\(promise.kind) \(promise.path)"] else { return "\(promise.line): gone" }
        let isWeaker: Bool =
            switch promise.necessity {
            case "optional": now.necessity == "required"
            case "required": false
            default: now.necessity != promise.necessity && promise.necessity != "sometimes"
            }
        return isWeaker || !isCompatible(promise, now.type) ? "\(promise.line): now \(now.line)" : nil
    }
    // One that an object needs which is new itself, and may be left out, asks nothing of old clients.
    let demanded = new.filter { now in
        guard now.kind == "param", now.necessity == "required", known["param \(now.path)"] == nil else {
            return false
        }
        var parent = now.path[..<(now.path.lastIndex(of: ".") ?? now.path.endIndex)]
        while parent.hasSuffix("[]") { parent = parent.dropLast(2) }
        return known["method \(parent)"] != nil
            || known["param \(parent)"] != nil
    }
    return gone + demanded.map { "\($0.line): newly required" }
}

/// Words may be added, and the range of a parameter may grow.
private func isCompatible(_ promise: Promise, _ now: String) -> Bool {
    func shape(_ type: String) -> String { type.replacing(/\([^)]*\)/, with: "") }
    guard shape(promise.type) == shape(now) else { return false }
    guard let old = promise.type.firstMatch(of: /\(([^)]*)\)/)?.1,
        let new = now.firstMatch(of: /\(([^)]*)\)/)?.1
    else { return promise.type == now }
    guard promise.type.contains("integer") else {
        return Set(old.split(separator: ",")).isSubset(of: new.split(separator: ","))
    }
    func bounds(_ text: Substring) -> [Int64] {
        text.replacing("...", with: " ").split(separator: " ").compactMap { Int64($0) }
    }
    let (was, isNow) = (bounds(old), bounds(new))
    guard was.count == 2, isNow.count == 2 else { return false }
    return promise.kind != "param" || (isNow[0] <= was[0] && isNow[1] >= was[1])
}

struct PromiseTests {
    /// `IMD_UPDATE_GOLDEN=1` adds what is new; nothing takes a line away.
    @Test func `nothing that was promised is gone, retyped or less than it was`() throws {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(
            "Golden/promise.txt")
        let text = (try? String(contentsOf: file, encoding: .utf8)) ?? ""
        let promised = text.split(separator: "\n").compactMap { Promise(line: $0) }
        let now = promises()
        let broken = broken(promised, now)
        try #require(broken.isEmpty, "promised and no longer true: \(broken)")
        guard ProcessInfo.processInfo.environment["IMD_UPDATE_GOLDEN"] != nil else {
            #expect(
                promised.count > 500 && promised.map(\.line) == text.split(separator: "\n").map(String.init))
            return
        }
        try now.map { $0.line + "\n" }.joined().write(to: file, atomically: true, encoding: .utf8)
    }

    @Test func `what is taken from clients is noticed, and what is given is not`() {
        let method = Promise("method", "a.b")
        let param = Promise("param", "a.b.x", "integer(1...9)", "optional")
        let member = Promise("result", "a.b.y", "word(p,q)", "always")
        let old = [method, param, member, Promise("error", "bad", "-32001", "1")]
        func changed(_ change: (inout [Promise]) -> Void) -> Int {
            var new = old
            change(&new)
            return broken(old, new).count
        }
        #expect(changed { _ in } == 0)
        #expect(changed { $0[1].type = "integer(0...99)" } == 0)
        #expect(changed { $0[2].type = "word(o,q,p)" } == 0)
        #expect(changed { $0.append(Promise("param", "a.b.z", "string", "optional")) } == 0)
        #expect(changed { $0.append(Promise("result", "a.b.z", "string", "sometimes")) } == 0)
        #expect(
            changed { $0 += [Promise("method", "c.d"), Promise("param", "c.d.e", "string", "required")] } == 0
        )
        for index in old.indices { #expect(changed { $0.remove(at: index) } == 1) }
        #expect(changed { $0[1].type = "integer(1...8)" } == 1)
        #expect(changed { $0[1].type = "string" } == 1)
        #expect(changed { $0[1].necessity = "required" } == 1)
        #expect(changed { $0[2].type = "word(p)" } == 1)
        #expect(changed { $0[2].necessity = "sometimes" } == 1)
        #expect(changed { $0[2].path = "a.b.why" } == 1)
        #expect(changed { $0[3].type = "-32002" } == 1)
        #expect(changed { $0[3].necessity = "2" } == 1)
        #expect(changed { $0.append(Promise("param", "a.b.z", "string", "required")) } == 1)
    }
}
