# Lists the source positions of panics that survived optimisation, from the assembly of a program built with the feature
# `no-panic`. Each is a core::panic::Location: pointer to the file's name, its length, line, column; 16 bytes.

# Word `index_of_word` of an assembler string: four of its bytes as one little-endian number. The other parameters are
# local variables.
function word(text, index_of_word,    i, n, c, value, bytes) {
    n = 0
    for (i = 1; i <= length(text); i++) {
        c = substr(text, i, 1)
        if (c != "\\") { bytes[n++] = ord[c]; continue }
        c = substr(text, i + 1, 1)
        if (c ~ /[0-7]/) {
            bytes[n++] = substr(text, i + 1, 1) * 64 + substr(text, i + 2, 1) * 8 + substr(text, i + 3, 1)
            i += 3
        } else {
            bytes[n++] = (c in escape) ? escape[c] : ord[c]
            i += 1
        }
    }
    value = 0
    for (i = 3; i >= 0; i--) value = value * 256 + bytes[4 * index_of_word + i]
    return value
}

BEGIN {
    for (i = 1; i < 128; i++) ord[sprintf("%c", i)] = i
    escape["b"] = 8; escape["t"] = 9; escape["n"] = 10; escape["f"] = 12; escape["r"] = 13
}

/^\.L[^ ]*:/ { label = $1; sub(/:$/, "", label); file = ""; next }
$1 == ".long" { file = $2; next }
$1 == ".ascii" || $1 == ".asciz" {
    text = $0
    sub(/^[^"]*"/, "", text)
    sub(/"$/, "", text)
    if (text ~ /\.rs$/) name[label] = text
    if (file != "") { pointer[label] = file; rest[label] = text }
    file = ""
    next
}
# A location is a word and a string, 16 bytes in all.
$1 == ".size" && $3 == 16 {
    label = $2
    sub(/,$/, "", label)
    if (label in pointer) location[label] = 1
}

END {
    for (label in location)
        if (pointer[label] in name)
            print "  " name[pointer[label]] ":" word(rest[label], 1) ":" word(rest[label], 2)
}
