package server

import (
	"context"
	"fmt"

	pb "grep11/grep11client/grep11pb"
	"grep11/pkcs11/ck"
)

// Login and Logout are not supported: GREP11 has no field that would carry the
// pin blob back, so that a success could mean nothing (grep11-wire 13.6).
// Logins to tokens are Token.OpenLogin of the extension.

func (c *call) Login(context.Context, *pb.LoginRequest) (*pb.LoginResponse, error) {
	return nil, noSessions()
}

func (c *call) Logout(context.Context, *pb.LogoutRequest) (*pb.LogoutResponse, error) {
	return nil, noSessions()
}

func noSessions() error {
	return fmt.Errorf("GREP11 requests cannot name an EP11 session: %w", ck.CKR_FUNCTION_NOT_SUPPORTED)
}
