package operator

func init() { workFactor = 8 } // a second less for each file
