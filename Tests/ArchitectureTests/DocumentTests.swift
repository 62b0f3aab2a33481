// What the documents name is there.
import Foundation
import Testing

private let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

struct DocumentTests {
    static let documents = ["docs/SECURITY.md", "docs/RELIABILITY.md"]

    private let files: [String]

    init() throws {
        let tests = FileManager.default.enumerator(atPath: root.appending(path: "Tests").path)
        files = try #require(tests?.allObjects as? [String])
    }

    @Test func `every test that a document cites exists`() throws {
        var cited = 0
        for name in Self.documents {
            let text = try read(name)
            let citation = /`((?:(?!Tests\/)[A-Za-z0-9]+\/)?[A-Za-z0-9]+Tests|test_[a-z0-9_]+\.py)`/
            for match in text.matches(of: citation) {
                let test = match.1.hasSuffix(".py") ? "Interop/\(match.1)" : "\(match.1).swift"
                let isThere = files.contains { $0 == test || $0.hasSuffix("/\(test)") }
                #expect(isThere, "\(name) cites \(match.1)")
                cited += 1
            }
        }
        #expect(cited > 20)
    }

    @Test func `every function of the interop tests that a document cites exists`() throws {
        let sources = try files.filter { $0.hasPrefix("Interop/test_") && $0.hasSuffix(".py") }
            .map { try read("Tests/\($0)") }
        var cited = 0
        for name in Self.documents {
            for match in try read(name).matches(of: /`(test_\w+)`/) {
                let isThere = sources.contains { $0.contains("def \(match.1)(") }
                #expect(isThere, "\(name) cites \(match.1)")
                cited += 1
            }
        }
        #expect(cited > 40)
    }

    private func read(_ path: String) throws -> String {
        try String(contentsOf: root.appending(path: path), encoding: .utf8)
    }
}
