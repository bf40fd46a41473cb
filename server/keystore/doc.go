// Package keystore keeps tokens and their objects in SQL. What it stores of a
// key is the sealed blob and the attributes around it; nothing in it opens a
// key. One writer goroutine gathers concurrent changes into one transaction,
// so that many callers share the cost of making them durable.
package keystore
