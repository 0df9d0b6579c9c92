; Operations whose results the verifier's facts describe closely, on random bytes of a packet (xdp).
; scripts/plant-bugs and scripts/observe run it.
r2 = *(u32 *)(r1 +0)
r3 = *(u32 *)(r1 +4)
r4 = r2
r4 += 32
if r4 > r3 goto out
r9 = 0

; A 32-bit move clears the high half, whose lowest bit is set here.
r5 = *(u64 *)(r2 +0)
r6 = 0x100000000 ll
r5 |= r6
w7 = w5
r9 += r7

; What is learned of a number is learned of the one that was computed from it.
r5 = *(u8 *)(r2 +8)
r8 = r5
r8 -= 3
if r5 > 10 goto +1
r9 += r8

; Single bytes on the stack.
r5 = *(u8 *)(r2 +9)
*(u8 *)(r10 -15) = r5
r6 = *(u8 *)(r10 -15)
r9 += r6

; Signed loads, and a loop whose turns are not counted one by one.
r6 = *(s8 *)(r2 +10)
r9 += r6
r7 = 0
again:
r8 = r7
r8 <<= 2
r9 += r8
r7 += 1
if r7 < 100 goto again
r9 += r7
out:
r0 = 2
exit
