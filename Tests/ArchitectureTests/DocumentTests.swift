// What the documents name is there.
import Foundation
import Testing

private let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

struct DocumentTests {
    @Test func `every test that a document cites exists`() throws {
        let files = try #require(
            FileManager.default.enumerator(atPath: root.appending(path: "Tests").path)?.allObjects
                as? [String])
        var cited = 0
        for name in ["docs/SECURITY.md", "docs/RELIABILITY.md"] {
            let text = try String(contentsOf: root.appending(path: name), encoding: .utf8)
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
}
