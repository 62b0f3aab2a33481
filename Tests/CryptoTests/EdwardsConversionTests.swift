// Arithmetic modulo 2^255-19 at its edges.
import Testing

@testable import IMCrypto

@Suite struct EdwardsConversionTests {
    /// Small values, values around the limb boundaries, values just below the prime.
    private static let edges: [Bytes] = {
        var values = [1, 2, 18, 19, 0xff].map { [UInt8($0)] + Bytes(repeating: 0, count: 31) }
        for bit in [50, 51, 52, 101, 102, 103, 153, 204, 254] {
            var power = Bytes(repeating: 0, count: 32)
            power[bit / 8] = 1 << UInt8(bit % 8)
            values.append(power)
        }
        for low: UInt8 in [0xec, 0xeb, 0xda, 0x00] {
            values.append([low] + Bytes(repeating: 0xff, count: 30) + [0x7f])
        }
        values.append(Bytes(repeating: 0xff, count: 31) + [0x3f])
        return values
    }()

    @Test(arguments: edges) func `reading and writing is the identity below the prime`(_ value: Bytes) {
        #expect(EdwardsConversion.isCanonical(value))
        #expect(FieldElement(value).bytes == value)
    }

    @Test(arguments: edges) func `a value times its inverse is one`(_ value: Bytes) {
        let one = [1] + Bytes(repeating: 0, count: 31)
        let element = FieldElement(value)
        #expect((element * element.inverted()).bytes == one)
    }

    @Test(arguments: edges) func `one more and one less cancel out`(_ value: Bytes) {
        #expect(FieldElement(value).subtractingOne().addingOne().bytes == value)
        #expect(FieldElement(value).addingOne().subtractingOne().bytes == value)
    }

    @Test func `values from the prime upwards are written reduced`() {
        for offset: UInt8 in 0...18 {
            let above = [0xed + offset] + Bytes(repeating: 0xff, count: 30) + [0x7f]
            #expect(!EdwardsConversion.isCanonical(above))
            #expect(FieldElement(above).bytes == [offset] + Bytes(repeating: 0, count: 31))
        }
    }

    @Test func `zero minus one is the prime minus one`() {
        let zero = FieldElement(Bytes(repeating: 0, count: 32))
        #expect(zero.subtractingOne().bytes == [0xec] + Bytes(repeating: 0xff, count: 30) + [0x7f])
        #expect(zero.inverted().bytes == Bytes(repeating: 0, count: 32))
    }

    @Test func `the base point converts to y of four fifths`() throws {
        // RFC 7748 section 4.1: u = 9 corresponds to y = 4/5.
        let y = try #require(EdwardsConversion.edwardsY(montgomeryU: [9] + Bytes(repeating: 0, count: 31)))
        #expect(y == [0x58] + Bytes(repeating: 0x66, count: 31))
    }
}
