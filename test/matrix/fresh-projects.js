export const freshProjectCells = []
