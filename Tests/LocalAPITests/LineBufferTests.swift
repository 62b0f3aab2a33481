// Bytes to lines: however they are cut, and whatever is too long.

import LocalAPI
import Testing

struct LineBufferTests {
    private func lines(_ chunks: [[UInt8]], limit: Int) -> [LineBuffer.Line] {
        var buffer = LineBuffer(limit: limit)
        var lines: [LineBuffer.Line] = []
        for chunk in chunks {
            buffer.append(chunk)
            while let line = buffer.next() { lines.append(line) }
        }
        if let line = buffer.finish() { lines.append(line) }
        return lines
    }

    private static let input = Array(
        "{\"a\":1}\n\n \r\n{\"b\":\"é\"}\r\n123456789012\nok\n12345678901\nend".utf8)
    private static let expected: [LineBuffer.Line] = [
        .line(Array("{\"a\":1}".utf8)), .line(Array("{\"b\":\"é\"}\r".utf8)), .tooLong,
        .line(Array("ok".utf8)),
        .line(Array("12345678901".utf8)), .line(Array("end".utf8)),
    ]

    @Test func `the lines are the same however the bytes are cut in two`() {
        for cut in 0...Self.input.count {
            let chunks = [Array(Self.input[..<cut]), Array(Self.input[cut...])]
            #expect(lines(chunks, limit: 11) == Self.expected)
        }
    }

    @Test func `the lines are the same in chunks of any size`() {
        for size in 1...Self.input.count {
            let chunks = stride(from: 0, to: Self.input.count, by: size).map {
                Array(Self.input[$0..<min($0 + size, Self.input.count)])
            }
            #expect(lines(chunks, limit: 11) == Self.expected)
        }
    }

    @Test func `a line over the limit is told once, and the next line is read`() {
        let long = [UInt8](repeating: 0x61, count: 100)
        #expect(
            lines(Array(repeating: long, count: 50) + [[0x0a, 0x62, 0x0a]], limit: 200) == [
                .tooLong, .line([0x62]),
            ])
    }

    @Test func `a line over the limit that never ends is told once, also at the end`() {
        #expect(lines([[UInt8](repeating: 0x61, count: 300)], limit: 200) == [.tooLong])
    }

    @Test func `exactly the limit is accepted, one more is not`() {
        let line = [UInt8](repeating: 0x61, count: 10)
        #expect(lines([line + [0x0a]], limit: 10) == [.line(line)])
        #expect(lines([line + [0x61, 0x0a]], limit: 10) == [.tooLong])
    }

    @Test func `many small lines in one chunk come out in order`() {
        let input = (0..<20_000).map { "\($0)\n" }.joined()
        let numbers = lines([Array(input.utf8)], limit: 100).map { line -> Int? in
            guard case .line(let bytes) = line else { return nil }
            return Int(String(decoding: bytes, as: UTF8.self))
        }
        #expect(numbers == (0..<20_000).map { $0 })
    }
}
