package conformance

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// TestStructLayout works out from the standard's tables where a C compiler for
// 64-bit Unix puts each field, and compares with what it did with cryptoki.h.
func TestStructLayout(t *testing.T) {
	want := layouts(t)
	text, err := exec.Command(compile(t, offsetsProgram(t))).Output()
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(got) != len(want) || len(want) < 300 {
		t.Fatalf("%d lines of layout, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("compiled %q, by the table %q", got[i], want[i])
		}
	}
}

type member struct {
	typ, name string
	count     int
}

// structs are the table's, name by name, in its order.
func structs(t *testing.T) (names []string, members map[string][]member) {
	rows, err := Table("pkcs11-structs.csv")
	if err != nil {
		t.Fatal(err)
	}
	members = map[string][]member{}
	for _, r := range rows {
		names = append(names, r[0])
		for _, text := range strings.Split(r[1], "; ") {
			typ, name, _ := strings.Cut(text, " ")
			name, array, isArray := strings.Cut(strings.TrimSuffix(name, "]"), "[")
			m := member{typ, name, 1}
			if isArray {
				m.count, _ = strconv.Atoi(array)
			}
			members[r[0]] = append(members[r[0]], m)
		}
	}
	return names, members
}

func offsetsProgram(t *testing.T) string {
	names, members := structs(t)
	var b strings.Builder
	b.WriteString("#include <stddef.h>\n#include <stdio.h>\n#include \"cryptoki.h\"\nint main(void)\n{\n")
	for _, s := range names {
		fmt.Fprintf(&b, "printf(\"%s %%zu\\n\", sizeof(%s));\n", s, s)
		for _, m := range members[s] {
			fmt.Fprintf(&b, "printf(\"%s.%s %%zu\\n\", offsetof(%s, %s));\n", s, m.name, s, m.name)
		}
	}
	b.WriteString("}\n")
	return b.String()
}

// shape is a type's size and alignment.
type shape struct{ size, align int }

// layouts says the same as offsetsProgram, by the rules of the System V ABI: a
// field starts at the next multiple of its alignment, a struct is aligned as its
// widest field and ends on a multiple of that.
func layouts(t *testing.T) []string {
	names, members := structs(t)
	shapes := scalars(t)
	var lines []string
	for _, s := range names {
		var fields []string
		whole := shape{0, 1}
		for _, m := range members[s] {
			f, known := shapes[m.typ]
			if !known {
				t.Fatalf("%s.%s: no type %s", s, m.name, m.typ)
			}
			at := up(whole.size, f.align)
			fields = append(fields, fmt.Sprintf("%s.%s %d", s, m.name, at))
			whole = shape{at + f.size*m.count, max(whole.align, f.align)}
		}
		whole.size = up(whole.size, whole.align)
		shapes[s] = whole
		lines = append(append(lines, fmt.Sprintf("%s %d", s, whole.size)), fields...)
	}
	return lines
}

func up(n, align int) int { return (n + align - 1) / align * align }

// scalars are the types without members. Everything that points is a word.
func scalars(t *testing.T) map[string]shape {
	word := shape{8, 8}
	shapes := map[string]shape{
		"unsigned char": {1, 1}, "unsigned long int": word, "long int": word,
		"CK_CREATEMUTEX": word, "CK_DESTROYMUTEX": word, "CK_LOCKMUTEX": word, "CK_UNLOCKMUTEX": word,
	}
	rows, err := Table("pkcs11-typedefs.csv")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if strings.Contains(r[1], "CK_PTR") {
			shapes[r[0]] = word
		} else if s, known := shapes[r[1]]; known {
			shapes[r[0]] = s
		} else {
			t.Fatalf("%s is %s, which is unknown", r[0], r[1])
		}
	}
	return shapes
}
