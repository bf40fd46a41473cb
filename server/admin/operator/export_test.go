package operator

func init() { WorkFactor = 8 } // a second less for each file
