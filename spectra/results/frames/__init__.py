"""Results as pandas data frames and xarray data sets, their columns with units."""
