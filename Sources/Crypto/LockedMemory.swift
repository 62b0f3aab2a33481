// Memory for secrets that the kernel writes neither to swap nor into a core dump, as much as an ordinary user gets.
import CSodium
import Synchronization

/// A block of locked pages in slots of 64 bytes. What is larger, or comes while all are taken, lies on the heap.
enum LockedMemory {
    static let slotSize = 64
    /// 64 KiB in all: so much may be locked under the smallest of the usual limits (RLIMIT_MEMLOCK).
    static let slotCount = 1024

    /// Never freed. Where locking is refused it is memory like any other.
    nonisolated(unsafe) private static let base: UnsafeMutableRawPointer = {
        let size = slotSize * slotCount
        let base = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 16_384)
        base.initializeMemory(as: UInt8.self, repeating: 0, count: size)
        sodium_mlock(base, size)
        return base
    }()

    private static let free = Mutex(Array((0..<UInt16(slotCount)).reversed()))

    /// At least `count` bytes, zeroed, at a multiple of 16.
    static func allocate(_ count: Int) -> UnsafeMutableRawPointer {
        if count <= slotSize, let slot = free.withLock({ $0.popLast() }) {
            return base + Int(slot) * slotSize
        }
        let size = max(count, 1)
        let memory = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 16)
        memory.initializeMemory(as: UInt8.self, repeating: 0, count: size)
        return memory
    }

    /// Wipes what `allocate` gave for `count` bytes and gives it back.
    static func deallocate(_ memory: UnsafeMutableRawPointer, _ count: Int) {
        sodium_memzero(memory, count)
        guard isLocked(memory) else { return memory.deallocate() }
        let slot = UInt16((memory - base) / slotSize)
        free.withLock { $0.append(slot) }
    }

    static func isLocked(_ memory: UnsafeRawPointer) -> Bool {
        memory >= UnsafeRawPointer(base) && memory < UnsafeRawPointer(base) + slotSize * slotCount
    }
}
