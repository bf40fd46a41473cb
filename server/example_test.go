package server

import (
	"reflect"
	"regexp"
	"strings"
	"testing"
)

var commentedKey = regexp.MustCompile(`(?m)^#([a-z0-9_]+ = )`)

func TestTheExampleIsAConfiguration(t *testing.T) {
	if _, err := loadText(t, Example); err != nil {
		t.Error(err)
	}
	all := commentedKey.ReplaceAllString(Example, "$1")
	c, err := loadText(t, all)
	if err != nil {
		t.Fatalf("with all keys: %v", err)
	}
	d := Defaults()
	if c.Listen.RequestTimeout != d.Listen.RequestTimeout || c.Listen.Drain != d.Listen.Drain || c.Listen.Connections != d.Listen.Connections ||
		c.Listen.Streams != d.Listen.Streams || c.Audit != d.Audit || c.TLS.ClientAuth != "require" {
		t.Errorf("defaults that are none: %+v", c)
	}
}

func TestTheExampleHasEveryKey(t *testing.T) {
	table := ""
	seen := map[string]bool{}
	for _, line := range strings.Split(Example, "\n") {
		if strings.HasPrefix(line, "[") {
			table = strings.Trim(line, "[]")
		}
		if name, _, ok := strings.Cut(strings.TrimPrefix(line, "#"), " = "); ok {
			seen[table+"."+name] = true
		}
	}
	config := reflect.TypeFor[Config]()
	for i := range config.NumField() {
		section := config.Field(i)
		if !section.IsExported() {
			continue
		}
		fields := section.Type
		if fields.Kind() == reflect.Slice {
			fields = fields.Elem()
		}
		for _, field := range reflect.VisibleFields(fields) {
			if key := section.Tag.Get("toml") + "." + field.Tag.Get("toml"); !field.Anonymous && !seen[key] {
				t.Errorf("%s is not in the example", key)
			}
		}
	}
}
