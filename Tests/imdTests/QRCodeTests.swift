// QR codes: their shape (ISO/IEC 18004), and that another implementation reads what was drawn.
import Foundation
import Testing

@testable import imd

struct QRCodeTests {
    private static let link =
        "xmpp:bob@example.org?omemo-sid-1234567890="
        + "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

    @Test(
        arguments: [
            // Table 7: how many bytes a version holds at level M.
            (14, 21), (15, 25), (26, 25), (27, 29), (106, 41), (107, 45), (2331, 177),
        ])
    func `the smallest version that holds the text is taken`(_ count: Int, _ width: Int) throws {
        // Lower-case letters fit no smaller mode than bytes.
        let code = try #require(QRCode(String(repeating: "x", count: count)))
        #expect(code.rows.count == width)
        #expect(code.rows.allSatisfy { $0.count == width && $0.allSatisfy { "01".contains($0) } })
    }

    @Test func `digits are bytes too`() throws {
        // In numeric mode these would fit into a smaller version.
        #expect(try #require(QRCode(String(repeating: "7", count: 20))).rows.count == 25)
    }

    @Test func `three corners hold finder patterns`() throws {
        let rows = try #require(QRCode(Self.link)).rows
        let finder = ["1111111", "1000001", "1011101", "1011101", "1011101", "1000001", "1111111"]
        #expect(rows.prefix(7).map { String($0.prefix(7)) } == finder)
        #expect(rows.prefix(7).map { String($0.suffix(7)) } == finder)
        #expect(rows.suffix(7).map { String($0.prefix(7)) } == finder)
    }

    @Test func `what no code can hold gives none`() {
        #expect(QRCode("") == nil)
        #expect(QRCode(String(repeating: "x", count: 2332)) == nil)
    }

    @Test(
        .enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/zbarimg")),
        arguments: [link, "xmpp:b%C3%A9a@example.org?omemo-sid-1=" + String(repeating: "0f", count: 32)])
    func `another implementation reads the text back`(_ text: String) throws {
        let code = try #require(QRCode(text))
        #expect(try read(code) == text)
    }

    /// What zbarimg sees in the code drawn as a portable bitmap, each module 4 pixels wide.
    private func read(_ code: QRCode) throws -> String {
        let scale = 4
        let width = (code.rows.count + 8) * scale
        var image = "P1\n\(width) \(width)\n"
        let quiet = String(repeating: String(repeating: "0", count: width) + "\n", count: 4 * scale)
        let margin = String(repeating: "0", count: 4 * scale)
        image += quiet
        for row in code.rows {
            let line = margin + row.map { String(repeating: $0, count: scale) }.joined() + margin + "\n"
            image += String(repeating: line, count: scale)
        }
        image += quiet
        let path = FileManager.default.temporaryDirectory.path + "/imd-qr-\(UUID().uuidString).pbm"
        defer { try? FileManager.default.removeItem(atPath: path) }
        try Data(image.utf8).write(to: URL(fileURLWithPath: path))
        let reader = Process()
        let output = Pipe()
        reader.executableURL = URL(fileURLWithPath: "/usr/bin/zbarimg")
        reader.arguments = ["--quiet", "--raw", "-Sdisable", "-Sqrcode.enable", path]
        reader.standardOutput = output
        try reader.run()
        let text = try output.fileHandleForReading.readToEnd() ?? Data()
        reader.waitUntilExit()
        return String(decoding: text, as: UTF8.self).trimmingCharacters(in: .newlines)
    }
}
