// Chains of compares: each byte is put into a class, as a lexer does it.
#include "bench.h"

PROGRAM(branches) {
    u8* noise = noise_of(ctx);
    if (!noise) {
        return 0;
    }
    u32 letters = 0, digits = 0, blanks = 0, controls = 0, others = 0;
    for (u32 i = 0; i < NOISE; i++) {
        u8 c = noise[i];
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_') {
            letters += c;
        } else if (c >= '0' && c <= '9') {
            digits = digits * 10 + (c - '0');
        } else if (c == ' ' || c == '\t' || c == '\n') {
            blanks++;
        } else if (c < 32) {
            controls ^= c + i;
        } else {
            others += c >> 1;
        }
    }
    return (int)(letters + digits * 3 + blanks * 5 + controls * 7 + others * 11);
}
